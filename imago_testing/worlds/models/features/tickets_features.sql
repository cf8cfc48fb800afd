with

days as (

    {{ prediction_days('Asia/Kolkata') }}

),

tickets as (

    select listed.*, days.day_number, days.predicted_at
    from {{ ref('stg_tickets') }} as listed
    inner join days
        on listed.ds = days.ds
        and listed.known_from <= days.predicted_at
        and listed.known_to > days.predicted_at

),

final as (

    select ticket, ds, event_time, product, channel, length, amount, mood
    from tickets

)

select * from final
order by ds, ticket
