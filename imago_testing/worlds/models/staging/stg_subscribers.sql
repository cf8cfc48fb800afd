with

source as (

    {{ raw_rows('subscribers', ['store', 'customer', 'day', 'event_time', 'tier', 'tenure_days', 'visits_28d', 'complaints_28d', 'basket_gbp', 'known_at'], run_day('first_day'), run_day('last_day')) }}

),

renamed as (

    select
        cast(store as bigint) as store,
        cast(customer as bigint) as customer,
        cast(day as varchar) as day,
        cast(event_time as timestamp) as event_time,
        cast(tier as varchar) as tier,
        cast(tenure_days as integer) as tenure_days,
        cast(visits_28d as integer) as visits_28d,
        cast(complaints_28d as integer) as complaints_28d,
        cast(basket_gbp as double precision) as basket_gbp,
        cast(ds as varchar) as ds,
        cast(known_at as timestamp) as known_from,
        {{ known_to('ds, store, customer') }} as known_to
    from source

)

select * from renamed
