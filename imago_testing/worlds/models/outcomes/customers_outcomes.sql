with

final as (

    select
        store,
        customer,
        ds,
        cast(ds as timestamp) + interval '9' hour as event_time,
        cast(case when cancelled then 1 when not cancelled then 0 end as integer) as label,
        known_from as known_at
    from {{ ref('stg_cancellations') }}
    where ds between '{{ run_day("first_day") }}' and '{{ run_day("last_day") }}'
      and known_to = cast('9999-12-31 00:00:00' as timestamp)

)

select * from final
order by ds, store, customer
