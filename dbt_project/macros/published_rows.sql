{# The rows of one of Imago's published tables: the Parquet files that the job names in `var`, or a warehouse's table. #}
{% macro published_rows(table, columns) %}
  {{ return(adapter.dispatch('published_rows')(table, columns)) }}
{% endmacro %}


{% macro duckdb__published_rows(table, columns) %}
  {%- set files = var(table ~ '_files') if execute else [] %}
    select {{ columns | join(', ') }}
    from (
        select *, {{ day_of_file() }} as ds
        from read_parquet([
          {%- for file in files %}
          '{{ duckdb_path(file) }}'{{ ',' if not loop.last }}
          {%- endfor %}
        ], hive_partitioning = false, filename = '_imago_file', union_by_name = true)
    ) as published
{% endmacro %}


{% macro default__published_rows(table, columns) %}
    select {{ columns | join(', ') }}
    from {{ source('imago', table) }}
    where ds between '{{ run_day("first_day") }}' and '{{ run_day("last_day") }}'
{% endmacro %}


{#
    The day of a row, from its file's own folder. DuckDB's hive partitioning takes a `key=value` from anywhere in the
    path, so that a storage root of `/data/carrier=AA` would replace the column `carrier`.
#}
{% macro day_of_file() -%}
    regexp_extract(_imago_file, '/ds=([^/]*)/[^/]*$', 1)
{%- endmacro %}


{# A path in quotes: DuckDB would look for patterns in it. As `imago.addresses.for_duckdb`. #}
{% macro duckdb_path(path) -%}
    {{- path | replace("[", "[[]") | replace("*", "[*]") | replace("?", "[?]") | replace("'", "''") -}}
{%- endmacro %}
