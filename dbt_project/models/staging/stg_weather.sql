with

source as (

    {{ raw_rows(
        'weather',
        ['origin', 'hour_at', 'temp', 'humid', 'wind_speed', 'wind_gust', 'precip', 'visib', 'pressure', 'known_at'],
        run_day('first_day'), run_day('last_day')
    ) }}

),

renamed as (

    select
        cast(origin as varchar) as origin,
        cast(hour_at as timestamp) as hour_at,
        cast(ds as varchar) as ds,
        cast(temp as double precision) as temperature_f,
        cast(humid as double precision) as humidity_pct,
        -- The stations once reported more than 1,000 mph; the strongest wind ever measured is 253.
        cast(case when wind_speed <= 253 then wind_speed end as double precision) as wind_mph,
        -- A report names gusts only when there are some; without them the wind is steady.
        cast(case when coalesce(wind_gust, wind_speed) <= 253 then coalesce(wind_gust, wind_speed) end
             as double precision) as gust_mph,
        cast(precip as double precision) as precip_in,
        cast(visib as double precision) as visibility_miles,
        cast(pressure as double precision) as pressure_mb,
        cast(known_at as timestamp) as known_from,
        {{ known_to('origin, hour_at') }} as known_to
    from source

)

select * from renamed
