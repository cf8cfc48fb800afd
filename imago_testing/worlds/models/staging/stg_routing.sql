with

source as (

    {{ raw_rows('routing', ['ticket', 'day', 'queue', 'known_at'], run_day('first_day'), run_day('last_day')) }}

),

renamed as (

    select
        cast(ticket as varchar) as ticket,
        cast(day as varchar) as day,
        cast(queue as varchar) as queue,
        cast(ds as varchar) as ds,
        cast(known_at as timestamp) as known_from,
        {{ known_to('ds, ticket') }} as known_to
    from source

)

select * from renamed
