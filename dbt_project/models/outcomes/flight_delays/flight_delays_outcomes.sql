with

latest as (

    select *
    from {{ ref('stg_outcomes') }}
    where ds between '{{ run_day("first_day") }}' and '{{ run_day("last_day") }}'
      and known_to = cast('9999-12-31 00:00:00' as timestamp)

),

final as (

    select
        flight_key,
        ds,
        event_time,
        cast(arrival_delay as double precision) as arr_delay,
        cancelled,
        -- A flight that never arrived was not late: it has no label.
        cast(case when arrival_delay > 30 then 1 when arrival_delay is not null then 0 end as integer) as label,
        known_from as known_at
    from latest

)

select * from final
order by ds, flight_key
