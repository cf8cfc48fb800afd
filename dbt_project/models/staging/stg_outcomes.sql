with

source as (

    -- A window of 28 days that ends at D-2 starts at D-29.
    {{ raw_rows(
        'outcomes',
        ['flight_key', 'flight_date', 'event_time', 'carrier', 'flight', 'tailnum', 'origin', 'dest',
         'sched_dep_time', 'arr_delay', 'cancelled', 'known_at'],
        day_shift(run_day('first_day'), -29), run_day('last_day')
    ) }}

),

renamed as (

    select
        cast(flight_key as varchar) as flight_key,
        cast(ds as varchar) as ds,
        {{ day_number('ds') }} as day_number,
        cast(flight_date as varchar) as flight_date,
        cast(event_time as timestamp) as event_time,
        cast(carrier as varchar) as carrier,
        cast(flight as integer) as flight_number,
        cast(tailnum as varchar) as tail_number,
        cast(origin as varchar) as origin,
        cast(dest as varchar) as dest,
        cast(floor(sched_dep_time / 100.0) as integer) as departure_hour,
        cast(arr_delay as integer) as arrival_delay,
        cast(cancelled as boolean) as cancelled,
        cast(known_at as timestamp) as known_from,
        {{ known_to('flight_key') }} as known_to
    from source

)

select * from renamed
