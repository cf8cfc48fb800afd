with

days as (

    {{ prediction_days('Europe/London') }}

),

subscribers as (

    select listed.*, days.day_number, days.predicted_at
    from {{ ref('stg_subscribers') }} as listed
    inner join days
        on listed.ds = days.ds
        and listed.known_from <= days.predicted_at
        and listed.known_to > days.predicted_at

),

-- How many of the store cancelled, of those days whose answers are known at 00:00 by now: 31 days ago and the six before.
answers as (

    select
        days.ds,
        cancellations.store,
        sum(case when cancellations.cancelled then 1 else 0 end) as cancelled,
        count(cancellations.cancelled) as answered
    from days
    inner join {{ ref('stg_cancellations') }} as cancellations
        on {{ day_number('cancellations.ds') }} between days.day_number - 37 and days.day_number - 31
        and cancellations.known_from <= days.predicted_at
        and cancellations.known_to > days.predicted_at
    group by days.ds, cancellations.store

),

final as (

    select
        subscribers.store,
        subscribers.customer,
        subscribers.ds,
        subscribers.event_time,
        subscribers.tier,
        subscribers.tenure_days,
        subscribers.visits_28d,
        subscribers.complaints_28d,
        subscribers.basket_gbp,
        {{ per('answers.cancelled', 'answers.answered') }} as store_cancel_rate_7d
    from subscribers
    left join answers
        on subscribers.ds = answers.ds
        and subscribers.store = answers.store

)

select * from final
order by ds, store, customer
