{#-
    Each grouping of flights by what its members share. To add one, name it here and join it in flight_delays_features.
-#}
{%- set groupings = {
    'carrier': "carrier",
    'route': "origin || '-' || dest",
    'flight': "carrier || '-' || cast(flight_number as varchar) || '-' || origin || '-' || dest",
    'hour': "origin || '-' || cast(departure_hour as varchar)",
    'plane': "tail_number",
    'origin': "origin",
} -%}

with

days as (

    {{ prediction_days('America/New_York') }}

),

outcomes as (

    select * from {{ ref('stg_outcomes') }}

),

-- How long ago a day of history is: from the last one whose outcomes are known at 00:00 (two days ago) to 28 days of it.
ages as (

    select
        n as age,
        case when n <= 8 then 1 else 0 end as in_week,
        case when n = 2 then 1 else 0 end as is_last
    from (
        {{ numbers(2, 29) }}
    ) as counted

),

-- Few rows stand for many: all that follow are sums of these. Versions stay apart, as they are known at different times.
daily as (
{% for grouping, member in groupings.items() %}
    select
        '{{ grouping }}' as grouping_name,
        {{ member }} as member,
        day_number,
        known_from,
        known_to,
        cast(count(*) as double precision) as flights,
        cast(sum(case when cancelled then 1 else 0 end) as double precision) as cancelled,
        cast(sum(case when arrival_delay is not null then 1 else 0 end) as double precision) as arrived,
        cast(sum(case when arrival_delay > 30 then 1 else 0 end) as double precision) as late,
        cast(sum(arrival_delay) as double precision) as delay
    from outcomes
    where {{ member }} is not null
    group by {{ member }}, day_number, known_from, known_to
    {{ 'union all' if not loop.last }}
{% endfor %}
),

-- The version of each outcome that was known when the day's predictions were made, and no other.
known as (

    select
        days.ds,
        ages.in_week,
        ages.is_last,
        daily.grouping_name,
        daily.member,
        daily.flights,
        daily.cancelled,
        daily.arrived,
        daily.late,
        daily.delay
    from days
    cross join ages
    inner join daily
        on daily.day_number = days.day_number - ages.age
        and daily.known_from <= days.predicted_at
        and daily.known_to > days.predicted_at

),

-- Whole numbers below 2^53 add up exactly in any order also as floating numbers, which databases add much faster than
-- wide integers: so a day is the same alone and in a range.
final as (

    select
        ds,
        grouping_name,
        member,
        cast(sum(flights) as bigint) as flights_28d,
        cast(sum(arrived) as bigint) as arrived_28d,
        cast(sum(late) as bigint) as late_28d,
        cast(sum(delay) as bigint) as delay_28d,
        cast(sum(flights * in_week) as bigint) as flights_7d,
        cast(sum(cancelled * in_week) as bigint) as cancelled_7d,
        cast(sum(arrived * in_week) as bigint) as arrived_7d,
        cast(sum(late * in_week) as bigint) as late_7d,
        cast(sum(arrived * is_last) as bigint) as arrived_1d,
        cast(sum(late * is_last) as bigint) as late_1d
    from known
    group by ds, grouping_name, member

)

select * from final
