with

predictions as (

    {{ published_rows('predictions', ['store', 'customer', 'ds', 'decision']) }}

),

outcomes as (

    {{ published_rows('outcomes', ['store', 'customer', 'ds', 'label']) }}

),

judged as (

    select
        predictions.ds,
        case when predictions.decision and outcomes.label = 1 then 1 else 0 end as caught,
        case when predictions.decision and outcomes.label = 0 then 1 else 0 end as false_alarm,
        case when not predictions.decision and outcomes.label = 1 then 1 else 0 end as missed
    from predictions
    inner join outcomes
        on predictions.ds = outcomes.ds
        and predictions.store = outcomes.store
        and predictions.customer = outcomes.customer
    where outcomes.label is not null
      and predictions.decision is not null

),

final as (

    select
        ds,
        cast('all' as varchar) as slice,
        cast(count(*) as bigint) as rows,
        cast(sum(caught) as bigint) as caught,
        cast(sum(false_alarm) as bigint) as false_alarms,
        cast(sum(missed) as bigint) as missed,
        cast(
            sum(caught) * ({{ price('price_caught') }} - {{ price('price_missed') }})
            + sum(false_alarm) * ({{ price('price_false_alarm') }} - {{ price('price_quiet') }})
            as double precision
        ) as value_gbp
    from judged
    group by ds

)

select * from final
order by ds, slice
