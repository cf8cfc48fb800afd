with

source as (

    {{ raw_rows('planes', ['tailnum', 'year', 'manufacturer', 'seats', 'known_at']) }}

),

renamed as (

    select
        cast(tailnum as varchar) as tail_number,
        cast(year as integer) as built_year,
        case
            when manufacturer like 'BOEING%' then 'Boeing'
            when manufacturer like 'AIRBUS%' then 'Airbus'
            when manufacturer like 'EMBRAER%' then 'Embraer'
            when manufacturer like 'BOMBARDIER%' or manufacturer like 'CANADAIR%' then 'Bombardier'
            -- The MD-80 family goes by three spellings of one maker.
            when manufacturer like 'MCDONNELL%' then 'McDonnell Douglas'
            when manufacturer is not null then 'other'
        end as maker,
        cast(seats as integer) as seats,
        cast(known_at as timestamp) as known_from,
        {{ known_to('tailnum') }} as known_to
    from source

)

select * from renamed
