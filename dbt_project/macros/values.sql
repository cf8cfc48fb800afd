{# A share or a mean over a window that may be empty: null then, which is not the same as zero. #}
{% macro per(part, whole) -%}
    cast({{ part }} as double precision) / nullif({{ whole }}, 0)
{%- endmacro %}


{# What a decision is worth; the spec says it, through the run's vars. #}
{% macro price(name) -%}
    cast({{ var(name) if execute else 0 }} as double precision)
{%- endmacro %}
