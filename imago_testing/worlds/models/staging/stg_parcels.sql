with

source as (

    {{ raw_rows('parcels', ['parcel', 'day', 'event_time', 'depot', 'express', 'distance_km', 'weight_g', 'stops', 'traffic', 'known_at'], run_day('first_day'), run_day('last_day')) }}

),

renamed as (

    select
        cast(parcel as varchar) as parcel,
        cast(day as varchar) as day,
        cast(event_time as timestamp) as event_time,
        cast(depot as varchar) as depot,
        cast(express as boolean) as express,
        cast(distance_km as double precision) as distance_km,
        cast(weight_g as bigint) as weight_g,
        cast(stops as bigint) as stops,
        cast(traffic as double precision) as traffic,
        cast(ds as varchar) as ds,
        cast(known_at as timestamp) as known_from,
        {{ known_to('ds, parcel') }} as known_to
    from source

)

select * from renamed
