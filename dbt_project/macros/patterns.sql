{# Whether a whole text matches a regular expression. Patterns use what all databases read: no backslash, no look-around. #}
{% macro matches(column, pattern) -%}
  {{ return(adapter.dispatch('matches')(column, pattern | replace("'", "''"))) }}
{%- endmacro %}


{% macro duckdb__matches(column, pattern) -%}
    regexp_full_match({{ column }}, '{{ pattern }}')
{%- endmacro %}


{% macro athena__matches(column, pattern) -%}
    regexp_like({{ column }}, '\A(?:{{ pattern }})\z')
{%- endmacro %}


{% macro redshift__matches(column, pattern) -%}
    {{ column }} ~ '^({{ pattern }})$'
{%- endmacro %}


{% macro default__matches(column, pattern) -%}
    {{ exceptions.raise_compiler_error('say in macros/patterns.sql how ' ~ target.type ~ ' matches a pattern') }}
{%- endmacro %}
