with

source as (

    {{ raw_rows(
        'schedule',
        ['flight_key', 'flight_date', 'event_time', 'carrier', 'flight', 'tailnum', 'origin', 'dest',
         'sched_dep_time', 'sched_arr_time', 'distance', 'known_at'],
        run_day('first_day'), run_day('last_day')
    ) }}

),

renamed as (

    select
        cast(flight_key as varchar) as flight_key,
        cast(ds as varchar) as ds,
        cast(flight_date as varchar) as flight_date,
        cast(event_time as timestamp) as event_time,
        cast(carrier as varchar) as carrier,
        cast(flight as integer) as flight_number,
        cast(tailnum as varchar) as tail_number,
        cast(origin as varchar) as origin,
        cast(dest as varchar) as dest,
        cast(floor(sched_dep_time / 100.0) as integer) as departure_hour,
        cast(floor(sched_dep_time / 100.0) * 60 + mod(sched_dep_time, 100) as integer) as departure_minute,
        cast(floor(sched_arr_time / 100.0) * 60 + mod(sched_arr_time, 100) as integer) as arrival_minute,
        cast(distance as integer) as distance_miles,
        cast(known_at as timestamp) as known_from,
        {{ known_to('flight_key') }} as known_to
    from source

)

select * from renamed
