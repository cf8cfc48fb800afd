with

predictions as (

    {{ published_rows('predictions', ['parcel', 'ds', 'score']) }}

),

outcomes as (

    {{ published_rows('outcomes', ['parcel', 'ds', 'hours']) }}

),

judged as (

    select
        predictions.ds,
        case when outcomes.hours > predictions.score + 2 then 12.5 else 0 end as amount
    from predictions
    inner join outcomes
        on predictions.ds = outcomes.ds
        and predictions.parcel = outcomes.parcel
    where outcomes.hours is not null

),

final as (

    select
        ds,
        cast('all' as varchar) as slice,
        cast(count(*) as bigint) as rows,
        cast(sum(amount) as double precision) as refunds_aud
    from judged
    group by ds

)

select * from final
order by ds, slice
