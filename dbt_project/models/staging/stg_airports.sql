with

source as (

    {{ raw_rows('airports', ['faa', 'tz', 'known_at']) }}

),

renamed as (

    select
        cast(faa as varchar) as airport,
        cast(tz as integer) as utc_offset_hours,
        cast(known_at as timestamp) as known_from
    from source

    union all

    -- The register leaves out Puerto Rico and the Virgin Islands, which New York flies to every day.
    select airport, -4 as utc_offset_hours, cast('2012-12-31 23:00:00' as timestamp) as known_from
    from (
        select 'SJU' as airport
        union all select 'BQN' as airport
        union all select 'PSE' as airport
        union all select 'STT' as airport
    ) as islands

),

versions as (

    select
        airport,
        utc_offset_hours,
        known_from,
        coalesce(
            lead(known_from) over (partition by airport order by known_from),
            cast('9999-12-31 00:00:00' as timestamp)
        ) as known_to
    from renamed

)

select * from versions
