{#
    The raw rows of one kind, with their day `ds`, for the days `first` to `last`.

    In DuckDB they come from the Parquet files that the job names in `raw_files` (so that what is read is exactly what the
    commit's provenance says), or, run by hand, from all files of those days under `storage_root`. The day is part of the
    path, so the files of other days are not opened. A warehouse reads the external table over the same files.

    Vars are read here, in the body: a kept manifest freezes whatever stands in a model's config.
#}
{% macro raw_rows(kind, columns, first=none, last=none) %}
  {{ return(adapter.dispatch('raw_rows')(kind, columns, first, last)) }}
{% endmacro %}


{% macro duckdb__raw_rows(kind, columns, first, last) %}
  {%- set files = var('raw_files', {}).get(kind) -%}
  {%- if files is not none and files | length == 0 %}
    select {% for column in columns %}null as {{ column }}, {% endfor %}null as ds
    where false
  {%- else %}
    {#- A moment comes as its writer keeps it (with a zone, in nanoseconds); from here on it is UTC, in microseconds. -#}
    {%- set declared = {} -%}
    {%- if execute -%}
      {%- for node in graph.sources.values() if node.source_name == 'raw' and node.name == kind -%}
        {%- do declared.update(node.columns) -%}
      {%- endfor -%}
    {%- endif %}
    select
      {%- for column in columns %}
      {% if declared.get(column, {}).get('data_type') == 'timestamp' %}cast({{ column }} as timestamp) as {{ column }}
      {%- else %}{{ column }}{% endif %}{{ ',' if not loop.last or first }}
      {%- endfor %}
      {{ day_of_file() ~ ' as ds' if first }}
    from read_parquet(
      {%- if files is not none %}
      [
        {%- for file in files %}
        '{{ duckdb_path(file) }}'{{ ',' if not loop.last }}
        {%- endfor %}
      ]
      {%- else %}
      '{{ duckdb_path(var("storage_root", "") if execute else "") }}/raw/{{ kind }}/{{ "ds=*/" if first }}*.parquet'
      {%- endif %}
      , hive_partitioning = false, filename = '_imago_file'
    )
    {%- if first %}
    where {{ day_of_file() }} between '{{ first }}' and '{{ last }}'
    {%- endif %}
  {%- endif %}
{% endmacro %}


{% macro default__raw_rows(kind, columns, first, last) %}
    select {{ columns | join(', ') }}{{ ', ds' if first }}
    from {{ source('raw', kind) }}
    {%- if first %}
    where ds between '{{ first }}' and '{{ last }}'
    {%- endif %}
{% endmacro %}


{# When the version of a row that became known at `known_at` stopped being the latest one: at its next version. #}
{% macro known_to(key) -%}
    coalesce(
        lead(known_at) over (partition by {{ key }} order by known_at),
        cast('9999-12-31 00:00:00' as timestamp)
    )
{%- endmacro %}

