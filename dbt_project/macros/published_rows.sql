{# The rows of one of Imago's published tables: the Parquet files that the job names in `var`, or a warehouse's table. #}
{% macro published_rows(table, columns) %}
  {{ return(adapter.dispatch('published_rows')(table, columns)) }}
{% endmacro %}


{% macro duckdb__published_rows(table, columns) %}
  {%- set files = var(table ~ '_files') if execute else [] %}
    select {{ columns | join(', ') }}
    from read_parquet([
      {%- for file in files %}
      '{{ file | replace("'", "''") }}'{{ ',' if not loop.last }}
      {%- endfor %}
    ], hive_partitioning = true, hive_types = {'ds': varchar}, union_by_name = true)
{% endmacro %}


{% macro default__published_rows(table, columns) %}
    select {{ columns | join(', ') }}
    from {{ source('imago', table) }}
    where ds between '{{ run_day("first_day") }}' and '{{ run_day("last_day") }}'
{% endmacro %}
