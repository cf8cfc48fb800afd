with

predictions as (

    {{ published_rows('predictions', ['flight_key', 'ds', 'decision']) }}

),

outcomes as (

    {{ published_rows('outcomes', ['flight_key', 'ds', 'label']) }}

),

-- A flight without a label never arrived: no warning could have been right or wrong.
judged as (

    select
        predictions.ds,
        -- The key reads 2013-10-01-UA1545-EWR-0515; a carrier's code has two characters.
        substring(split_part(predictions.flight_key, '-', 4), 1, 2) as carrier,
        split_part(predictions.flight_key, '-', 5) as origin,
        case when predictions.decision and outcomes.label = 1 then 1 else 0 end as caught,
        case when predictions.decision and outcomes.label = 0 then 1 else 0 end as false_alarm,
        case when not predictions.decision and outcomes.label = 1 then 1 else 0 end as missed,
        case when not predictions.decision and outcomes.label = 0 then 1 else 0 end as quiet
    from predictions
    inner join outcomes
        on predictions.ds = outcomes.ds
        and predictions.flight_key = outcomes.flight_key
    where outcomes.label is not null
      and predictions.decision is not null

),

slices as (

    select ds, 'all' as slice, caught, false_alarm, missed, quiet from judged
    union all
    select ds, 'carrier=' || carrier as slice, caught, false_alarm, missed, quiet from judged
    union all
    select ds, 'origin=' || origin as slice, caught, false_alarm, missed, quiet from judged

),

counted as (

    select
        ds,
        slice,
        cast(count(*) as bigint) as rows,
        cast(sum(caught) as bigint) as caught,
        cast(sum(false_alarm) as bigint) as false_alarms,
        cast(sum(missed) as bigint) as missed,
        cast(sum(quiet) as bigint) as quiet
    from slices
    group by ds, slice

),

-- Against warning nobody, where each late flight is missed and each other one quiet.
final as (

    select
        ds,
        slice,
        rows,
        caught,
        false_alarms,
        missed,
        quiet,
        cast(
            caught * ({{ price('price_caught') }} - {{ price('price_missed') }})
            + false_alarms * ({{ price('price_false_alarm') }} - {{ price('price_quiet') }})
            as double precision
        ) as business_value
    from counted

)

select * from final
order by ds, slice
