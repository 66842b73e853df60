/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "exposition.h"

#include "base/cleanup.h"
#include "base/strbuf.h"

#include <string.h>

json_object *exposition_family(json_object *families, const char *name, const char *type, const char *unit,
                               const char *help)
{
    json_object *family = json_object_new_object();

    json_object_object_add(family, "name", json_object_new_string(name));
    json_object_object_add(family, "type", json_object_new_string(type));
    json_object_object_add(family, "unit", json_object_new_string(unit));
    json_object_object_add(family, "help", json_object_new_string(help));
    json_object_object_add(family, "samples", json_object_new_array());
    json_object_array_add(families, family);
    return family;
}

void exposition_sample(json_object *family, const char *label, const char *value_of_label, json_object *value)
{
    json_object *sample = json_object_new_object(), *labels = json_object_new_object();

    if (label)
        json_object_object_add(labels, label, json_object_new_string(value_of_label));
    json_object_object_add(sample, "labels", labels);
    json_object_object_add(sample, "value", value);
    json_object_array_add(json_object_object_get(family, "samples"), sample);
}

static void add_escaped(struct strbuf *b, const char *text)
{
    for (; *text; text++)
        if (*text == '\n')
            strbuf_puts(b, "\\n");
        else if (*text == '\\' || *text == '"')
            strbuf_printf(b, "\\%c", *text);
        else
            strbuf_add(b, text, 1);
}

static void add_labels(struct strbuf *b, json_object *labels)
{
    const char *before = "{";

    json_object_object_foreach (labels, name, value) {
        strbuf_printf(b, "%s%s=\"", before, name);
        add_escaped(b, json_object_get_string(value));
        strbuf_puts(b, "\"");
        before = ",";
    }
    if (before[0] == ',')
        strbuf_puts(b, "}");
}

static void add_value(struct strbuf *b, json_object *value)
{
    if (json_object_is_type(value, json_type_double))
        strbuf_printf(b, " %.17g\n", json_object_get_double(value));
    else
        strbuf_printf(b, " %s\n", json_object_get_string(value));
}

static void add_family(struct strbuf *b, json_object *family, enum exposition format)
{
    const char *name = json_get_string(family, "name"), *type = json_get_string(family, "type");
    const char *unit = json_get_string(family, "unit");
    json_object *samples = json_object_object_get(family, "samples");
    const char *total = strcmp(type, "counter") == 0 ? "_total" : "";
    const char *of_family = format == EXPOSITION_PROMETHEUS ? total : "";

    strbuf_printf(b, "# TYPE %s%s %s\n", name, of_family, type);
    if (unit[0] && format == EXPOSITION_OPENMETRICS)
        strbuf_printf(b, "# UNIT %s %s\n", name, unit);
    strbuf_printf(b, "# HELP %s%s %s\n", name, of_family, json_get_string(family, "help"));
    for (size_t i = 0; i < json_object_array_length(samples); i++) {
        json_object *sample = json_object_array_get_idx(samples, i);

        strbuf_printf(b, "%s%s", name, total);
        add_labels(b, json_object_object_get(sample, "labels"));
        add_value(b, json_object_object_get(sample, "value"));
    }
}

char *exposition_text(json_object *families, enum exposition format)
{
    struct strbuf b = {0};
    char *text;

    for (size_t i = 0; i < json_object_array_length(families); i++)
        add_family(&b, json_object_array_get_idx(families, i), format);
    if (format == EXPOSITION_OPENMETRICS)
        strbuf_puts(&b, "# EOF\n");
    return strbuf_take(&b, &text) < 0 ? NULL : text;
}
