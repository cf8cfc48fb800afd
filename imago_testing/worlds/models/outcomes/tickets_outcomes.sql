with

final as (

    select
        ticket,
        ds,
        cast(ds as timestamp) + interval '2' hour as event_time,
        queue,
        known_from as known_at
    from {{ ref('stg_routing') }}
    where ds between '{{ run_day("first_day") }}' and '{{ run_day("last_day") }}'
      and known_to = cast('9999-12-31 00:00:00' as timestamp)

)

select * from final
order by ds, ticket
