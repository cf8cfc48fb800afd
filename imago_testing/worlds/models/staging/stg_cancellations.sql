with

source as (

    {{ raw_rows('cancellations', ['store', 'customer', 'day', 'cancelled', 'known_at'], day_shift(run_day('first_day'), -37), run_day('last_day')) }}

),

renamed as (

    select
        cast(store as bigint) as store,
        cast(customer as bigint) as customer,
        cast(day as varchar) as day,
        cast(cancelled as boolean) as cancelled,
        cast(ds as varchar) as ds,
        cast(known_at as timestamp) as known_from,
        {{ known_to('ds, store, customer') }} as known_to
    from source

)

select * from renamed
