{# Days as Jinja values. A run is given `first_day` and `last_day` as vars; all SQL of the run follows from them. #}

{% macro run_day(name) %}
  {#- While the project is parsed there is no run yet; asked then, the macro answers with a placeholder. -#}
  {{- return(var(name) if execute else '2000-01-01') -}}
{% endmacro %}


{% macro day_shift(day, days) %}
  {%- set moment = modules.datetime.datetime.strptime(day, '%Y-%m-%d') + modules.datetime.timedelta(days=days) -%}
  {{- return(moment.strftime('%Y-%m-%d')) -}}
{% endmacro %}


{#
    The open days of the run: `ds`, `day_number` (a count of days; 1 is a Monday), and `predicted_at`, the UTC moment at
    which the day's predictions are made: 00:00 local time. Not computed in SQL because the three databases disagree on
    time zones. The job gives the moments as `day_starts`, so that every part of Imago means the same one where the clocks
    skip or repeat 00:00; run by hand, the macro works them out.
#}
{% macro prediction_days(timezone) %}
  {%- set first = modules.datetime.datetime.strptime(run_day('first_day'), '%Y-%m-%d') -%}
  {%- set last = modules.datetime.datetime.strptime(run_day('last_day'), '%Y-%m-%d') -%}
  {%- if last < first -%}
    {{ exceptions.raise_compiler_error('first_day lies after last_day') }}
  {%- endif -%}
  {%- set starts = var('day_starts', none) if execute else none -%}
  {%- if starts is not none and var('timezone', timezone) != timezone -%}
    {{ exceptions.raise_compiler_error("the model's time zone is " ~ timezone ~ ", the spec's " ~ var('timezone')) }}
  {%- endif -%}
  {%- set rows = [] -%}
  {%- set closed = var('closed_days', []) -%}
  {%- for n in range((last - first).days + 1) -%}
    {%- set day = first + modules.datetime.timedelta(days=n) -%}
    {%- set ds = day.strftime('%Y-%m-%d') -%}
    {%- if ds not in closed -%}
      {%- do rows.append((ds, day.toordinal(), starts[ds] if starts is not none else day_start(day, timezone))) -%}
    {%- endif -%}
  {%- endfor -%}
  {{ return(adapter.dispatch('literal_days')(rows)) }}
{% endmacro %}


{# As `imago.days.midnight`: the first 00:00 of a day, or the end of the gap in which it lies. #}
{% macro day_start(day, timezone) %}
  {%- set zone = modules.pytz.timezone(timezone) -%}
  {%- set around = modules.datetime.timedelta(hours=26) -%}
  {%- set found = [] -%}
  {%- for moment in (day - around, day + around) -%}
    {%- set start = day - zone.fromutc(moment).utcoffset() -%}
    {%- if zone.fromutc(start).replace(tzinfo=none) == day -%}
      {%- do found.append(start) -%}
    {%- endif -%}
  {%- endfor -%}
  {{- return((found | min if found else day - zone.fromutc(day - around).utcoffset()).strftime('%Y-%m-%d %H:%M:%S')) -}}
{% endmacro %}


{% macro duckdb__literal_days(rows) %}
    select ds, day_number, cast(predicted_at as timestamp) as predicted_at
    from (values
      {%- for ds, day_number, predicted_at in rows %}
      ('{{ ds }}', {{ day_number }}, '{{ predicted_at }}'){{ ',' if not loop.last }}
      {%- endfor %}
    ) as days (ds, day_number, predicted_at)
{% endmacro %}


{% macro default__literal_days(rows) %}
    {%- for ds, day_number, predicted_at in rows %}
    select '{{ ds }}' as ds, {{ day_number }} as day_number, cast('{{ predicted_at }}' as timestamp) as predicted_at
    {{- ' union all' if not loop.last }}
    {%- endfor %}
{% endmacro %}


{# The whole numbers from `first` to `last`, one a row. #}
{% macro numbers(first, last) %}
    {%- for n in range(first, last + 1) %}
    select {{ n }} as n{{ ' union all' if not loop.last }}
    {%- endfor %}
{% endmacro %}


{# The count of days of a `ds` column, as in `prediction_days`. #}
{% macro day_number(column) -%}
    ({{ dbt.datediff("cast('2000-01-01' as date)", "cast(" ~ column ~ " as date)", "day") }} + 730120)
{%- endmacro %}
