{#
    How models are built in the embedded DuckDB. Its database is a new one in memory for each run, so nothing stands in
    the way of a table, and none is swapped for another: that is most of what the stock materialisations do.
#}

{% materialization memory, adapter='duckdb' %}
  {%- set target_relation = this.incorporate(type='table') -%}
  {% call statement('main') -%}
    {{ create_table_as(False, target_relation, compiled_code, 'sql') }}
  {%- endcall %}
  {{ adapter.commit() }}
  {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}


{# The same, and written to `{staging address}/{model}.parquet`, where the audit reads it. #}
{% materialization staged, adapter='duckdb' %}
  {%- set target_relation = this.incorporate(type='table') -%}
  {% call statement('main') -%}
    {{ create_table_as(False, target_relation, compiled_code, 'sql') }}
  {%- endcall %}
  {% call statement('written') -%}
    copy {{ target_relation }} to '{{ external_location(this, config) | replace("'", "''") }}' (format parquet)
  {%- endcall %}
  {{ adapter.commit() }}
  {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
