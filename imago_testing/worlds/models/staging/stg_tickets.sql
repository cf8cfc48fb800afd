with

source as (

    {{ raw_rows('tickets', ['ticket', 'day', 'event_time', 'product', 'channel', 'length', 'amount', 'mood', 'known_at'], run_day('first_day'), run_day('last_day')) }}

),

renamed as (

    select
        cast(ticket as varchar) as ticket,
        cast(day as varchar) as day,
        cast(event_time as timestamp) as event_time,
        cast(product as varchar) as product,
        cast(channel as varchar) as channel,
        cast(length as bigint) as length,
        cast(amount as double precision) as amount,
        cast(mood as double precision) as mood,
        cast(ds as varchar) as ds,
        cast(known_at as timestamp) as known_from,
        {{ known_to('ds, ticket') }} as known_to
    from source

)

select * from renamed
