with

source as (

    {{ raw_rows('arrivals', ['parcel', 'day', 'hours', 'known_at'], run_day('first_day'), run_day('last_day')) }}

),

renamed as (

    select
        cast(parcel as varchar) as parcel,
        cast(day as varchar) as day,
        cast(hours as double precision) as hours,
        cast(ds as varchar) as ds,
        cast(known_at as timestamp) as known_from,
        {{ known_to('ds, parcel') }} as known_to
    from source

)

select * from renamed
