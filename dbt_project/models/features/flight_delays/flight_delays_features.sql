with

days as (

    {{ prediction_days('America/New_York') }}

),

schedule as (

    select
        flights.*,
        days.day_number,
        days.predicted_at
    from {{ ref('stg_schedule') }} as flights
    inner join days
        on flights.ds = days.ds
        and flights.known_from <= days.predicted_at
        and flights.known_to > days.predicted_at

),

weather as (

    select reports.*
    from {{ ref('stg_weather') }} as reports
    inner join days
        on reports.ds = days.ds
        and reports.known_from <= days.predicted_at
        and reports.known_to > days.predicted_at

),

planes as (

    select * from {{ ref('stg_planes') }}

),

airports as (

    select * from {{ ref('stg_airports') }}

),

history as (

    select * from {{ ref('flight_delays_history') }}

),

-- What the day's own schedule says about a flight: its hour's crowd, and its place in the plane's day.
day_plan as (

    select
        flight_key,
        count(*) over (partition by ds, origin, departure_hour) as origin_departures_in_hour,
        case when tail_number is not null then
            row_number() over (partition by ds, tail_number order by event_time, flight_key)
        end as plane_leg_of_day,
        case when tail_number is not null then
            {{ dbt.datediff(
                "lag(event_time) over (partition by ds, tail_number order by event_time, flight_key)",
                "event_time", "minute"
            ) }}
        end as plane_gap_minutes
    from schedule

),

final as (

    select
        schedule.flight_key,
        schedule.ds,
        schedule.event_time,

        -- route and carrier
        schedule.carrier,
        schedule.origin,
        schedule.dest,
        case mod(schedule.day_number, 7)
            when 1 then 'Mon' when 2 then 'Tue' when 3 then 'Wed' when 4 then 'Thu'
            when 5 then 'Fri' when 6 then 'Sat' else 'Sun'
        end as weekday,
        planes.maker as plane_maker,

        -- schedule
        cast(schedule.departure_minute as double precision) as departure_minute,
        cast(schedule.distance_miles as double precision) as distance_miles,
        cast(
            mod(
                schedule.arrival_minute - schedule.departure_minute
                + 60 * (origins.utc_offset_hours - dests.utc_offset_hours) + 2880,
                1440
            )
            as double precision
        ) as block_minutes,
        cast(day_plan.origin_departures_in_hour as double precision) as origin_departures_in_hour,
        cast(day_plan.plane_leg_of_day as double precision) as plane_leg_of_day,
        cast(day_plan.plane_gap_minutes as double precision) as plane_gap_minutes,

        -- plane
        cast(cast(substring(schedule.ds, 1, 4) as integer) - planes.built_year as double precision) as plane_age_years,
        cast(planes.seats as double precision) as plane_seats,

        -- weather at the origin in the hour of departure
        weather.temperature_f,
        weather.humidity_pct,
        weather.wind_mph,
        weather.gust_mph,
        weather.precip_in,
        weather.visibility_miles,
        weather.pressure_mb,

        -- delays known by now
        {{ per('by_carrier.late_28d', 'by_carrier.arrived_28d') }} as carrier_late_rate_28d,
        {{ per('by_carrier.late_7d', 'by_carrier.arrived_7d') }} as carrier_late_rate_7d,
        {{ per('by_carrier.cancelled_7d', 'by_carrier.flights_7d') }} as carrier_cancelled_rate_7d,
        {{ per('by_route.late_28d', 'by_route.arrived_28d') }} as route_late_rate_28d,
        {{ per('by_route.delay_28d', 'by_route.arrived_28d') }} as route_mean_delay_28d,
        {{ per('by_flight.late_28d', 'by_flight.arrived_28d') }} as flight_late_rate_28d,
        {{ per('by_hour.late_28d', 'by_hour.arrived_28d') }} as hour_late_rate_28d,
        {{ per('by_plane.late_28d', 'by_plane.arrived_28d') }} as plane_late_rate_28d,
        cast(coalesce(by_plane.flights_28d, 0) as double precision) as plane_flights_28d,
        {{ per('by_origin.late_7d', 'by_origin.arrived_7d') }} as origin_late_rate_7d,
        {{ per('by_origin.late_1d', 'by_origin.arrived_1d') }} as origin_late_rate_1d

    from schedule
    inner join day_plan on schedule.flight_key = day_plan.flight_key
    left join weather
        on schedule.origin = weather.origin
        and {{ dbt.date_trunc('hour', 'schedule.event_time') }} = weather.hour_at
    left join planes
        on schedule.tail_number = planes.tail_number
        and planes.known_from <= schedule.predicted_at
        and planes.known_to > schedule.predicted_at
    left join airports as origins
        on schedule.origin = origins.airport
        and origins.known_from <= schedule.predicted_at
        and origins.known_to > schedule.predicted_at
    left join airports as dests
        on schedule.dest = dests.airport
        and dests.known_from <= schedule.predicted_at
        and dests.known_to > schedule.predicted_at
    {%- for grouping, member in {
        'carrier': "schedule.carrier",
        'route': "schedule.origin || '-' || schedule.dest",
        'flight': "schedule.carrier || '-' || cast(schedule.flight_number as varchar) || '-' || schedule.origin || '-' || schedule.dest",
        'hour': "schedule.origin || '-' || cast(schedule.departure_hour as varchar)",
        'plane': "schedule.tail_number",
        'origin': "schedule.origin",
    }.items() %}
    left join history as by_{{ grouping }}
        on by_{{ grouping }}.grouping_name = '{{ grouping }}'
        and by_{{ grouping }}.ds = schedule.ds
        and by_{{ grouping }}.member = {{ member }}
    {%- endfor %}

)

select * from final
order by ds, flight_key
