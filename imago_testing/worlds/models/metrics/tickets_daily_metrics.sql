with

predictions as (

    {{ published_rows('predictions', ['ticket', 'ds', 'decision']) }}

),

outcomes as (

    {{ published_rows('outcomes', ['ticket', 'ds', 'queue']) }}

),

judged as (

    select
        predictions.ds,
        case when outcomes.queue <> predictions.decision then 240 else 0 end as amount
    from predictions
    inner join outcomes
        on predictions.ds = outcomes.ds
        and predictions.ticket = outcomes.ticket
    where outcomes.queue is not null

),

final as (

    select
        ds,
        cast('all' as varchar) as slice,
        cast(count(*) as bigint) as rows,
        cast(sum(amount) as double precision) as cost_inr
    from judged
    group by ds

)

select * from final
order by ds, slice
