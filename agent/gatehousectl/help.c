/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Help, for people and as JSON, from the tables of verbs.h. */
#include "verbs.h"

#include <stdio.h>
#include <string.h>

static const struct {
    int status;
    const char *meaning;
} statuses[] = {
    {EXIT_SUCCESS, "ok"},
    {EXIT_FAILURE, "failed"},
    {EXIT_USAGE, "usage"},
    {EXIT_NOT_RUNNING, "not running"},
    {EXIT_NO_SUCH_DEVICE, "no such device"},
    {EXIT_DENIED, "denied"},
    {EXIT_PARTIAL, "partial"},
    {EXIT_CONFIG, "configuration"},
};

/* -q, --quiet   or      --json=FORM */
static void option_text(const struct option_row *row, char *text, size_t size)
{
    char letter[] = "-x, ";

    letter[1] = row->letter;
    snprintf(text, size, "%s--%s%s%s", row->letter ? letter : "    ", row->name, row->value ? "=" : "",
             !row->value    ? ""
             : row->choices ? row->choices
                            : row->value);
}

static void print_option(const struct option_row *row, const char *help, FILE *to)
{
    char text[64];

    option_text(row, text, sizeof(text));
    fprintf(to, "  %-28s %s\n", text, help ?: row->help);
}

static void print_general(FILE *to)
{
    for (int id = OPTION_END + 1; id <= OPTION_GENERAL_LAST; id++)
        print_option(&option_rows[id], NULL, to);
}

void help_all(FILE *to)
{
    fputs("usage: gatehousectl [OPTION...] [VERB [OPERAND...]]\n\n", to);
    for (size_t i = 0; i < n_verbs; i++) {
        char form[64];

        snprintf(form, sizeof(form), "%s %s", verbs[i].name, verbs[i].operands);
        fprintf(to, "  %-34s %s\n", form, verbs[i].summary);
    }
    fputs("\nGeneral options, which every verb takes (gatehousectl VERB --help has a verb's own):\n", to);
    print_general(to);
    fputs("\nexit status:", to);
    for (size_t i = 0; i < ELEMENTSOF(statuses); i++)
        fprintf(to, "%s %d %s", i > 0 ? "," : "", statuses[i].status, statuses[i].meaning);
    fputc('\n', to);
}

static void print_form(const struct verb *verb, const char *begin, FILE *to)
{
    fprintf(to, "%-6s gatehousectl %s%s%s%s\n", begin, verb->name, verb->options[0].id ? " [OPTION...]" : "",
            verb->operands[0] ? " " : "", verb->operands);
}

void help_verb(const struct verb *verb, FILE *to)
{
    print_form(verb, "usage:", to);
    fprintf(to, "\n%s\n", verb->summary);
    if (verb->details)
        fprintf(to, "%s\n", verb->details);
    if (verb->options[0].id)
        fputs("\nOptions:\n", to);
    for (const struct verb_option *o = verb->options; o->id != OPTION_END; o++)
        print_option(&option_rows[o->id], o->help, to);
    fputs("\nGeneral options:\n", to);
    print_general(to);
}

bool help_forms(const char *word, FILE *to)
{
    size_t n = strlen(word);
    bool any = false;

    for (size_t i = 0; i < n_verbs; i++) {
        if (strncmp(verbs[i].name, word, n) != 0 || (verbs[i].name[n] != 0 && verbs[i].name[n] != ' '))
            continue;
        if (to)
            print_form(&verbs[i], any ? "or" : "usage:", to);
        any = true;
    }
    return any;
}

void help_option_names(const struct verb *verb, char *text, size_t size)
{
    size_t n = 0;

    snprintf(text, size, "none of its own");
    for (const struct verb_option *o = verb->options; o->id != OPTION_END && n < size; o++) {
        const struct option_row *row = &option_rows[o->id];

        n += (size_t)snprintf(text + n, size - n, "%s--%s%s%s", n > 0 ? ", " : "", row->name, row->value ? "=" : "",
                              row->value ?: "");
    }
}

/* ── As JSON ── */

static void add_text(json_object *o, const char *name, const char *text)
{
    json_object_object_add(o, name, text ? json_object_new_string(text) : NULL);
}

static json_object *option_json(enum option_id id, const char *help)
{
    const struct option_row *row = &option_rows[id];
    char letter[] = {row->letter, 0};
    json_object *o = json_object_new_object();

    add_text(o, "option", row->name);
    add_text(o, "letter", row->letter ? letter : NULL);
    add_text(o, "value", row->value);
    add_text(o, "choices", row->choices);
    add_text(o, "help", help ?: row->help);
    return o;
}

static json_object *verb_json(const struct verb *verb)
{
    json_object *o = json_object_new_object(), *own = json_object_new_array();

    add_text(o, "verb", verb->name);
    add_text(o, "operands", verb->operands);
    add_text(o, "summary", verb->summary);
    add_text(o, "details", verb->details);
    json_object_object_add(o, "local", json_object_new_boolean(verb->local));
    for (const struct verb_option *v = verb->options; v->id != OPTION_END; v++)
        json_object_array_add(own, option_json(v->id, v->help));
    json_object_object_add(o, "options", own);
    return o;
}

static void tables(json_object *result)
{
    json_object *all = json_object_new_array(), *general = json_object_new_array(), *ends = json_object_new_array();

    for (size_t i = 0; i < n_verbs; i++)
        json_object_array_add(all, verb_json(&verbs[i]));
    for (int id = OPTION_END + 1; id <= OPTION_GENERAL_LAST; id++)
        json_object_array_add(general, option_json((enum option_id)id, NULL));
    for (size_t i = 0; i < ELEMENTSOF(statuses); i++) {
        json_object *o = json_object_new_object();

        json_object_object_add(o, "status", json_object_new_int(statuses[i].status));
        add_text(o, "meaning", statuses[i].meaning);
        json_object_array_add(ends, o);
    }
    json_object_object_add(result, "verbs", all);
    json_object_object_add(result, "options", general);
    json_object_object_add(result, "statuses", ends);
}

int verb_help(struct ctl *c, int argc, char **argv)
{
    int words = 0;
    const struct verb *verb = verb_find(argc, argv, &words);

    if (argc > 0 && (verb ? words < argc : argc > 1 || !help_forms(argv[0], NULL))) {
        print_error("unknown verb '%s%s%s'; see gatehousectl --help", argv[0], argc > 1 ? " " : "",
                    argc > 1 ? argv[1] : "");
        return EXIT_USAGE;
    }
    tables(ctl_result(c));
    if (!print_text_wanted(c))
        return 0;
    if (argc == 0)
        help_all(stdout);
    else if (verb)
        help_verb(verb, stdout);
    else
        help_forms(argv[0], stdout);
    return 0;
}
