/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Help, for people and as JSON, from the tables of verbs.h. */
#include "table.h"
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

#define FORM_MAX 256
#define OPTION_INDENT 31
#define VERB_INDENT 37

/* A text in two columns, the second below the first where that is too long. */
static void print_columns(const struct terminal *t, size_t indent, const char *first, const char *second)
{
    int n = printf("  %-*s ", (int)indent - 3, first);

    if (n > (int)indent)
        printf("\n%*s", (int)indent, "");
    print_wrapped(t, stdout, indent, second);
}

/* Whether they fit beside the option's name; if not they are told with its help. */
static bool choices_are_short(const struct option_row *row)
{
    return row->choices && strlen(row->name) + strlen(row->choices) < OPTION_INDENT - 10;
}

/* -q, --quiet   or      --json=FORM */
static void option_text(const struct option_row *row, char *text, size_t size)
{
    char letter[] = "-x, ";

    letter[1] = row->letter;
    snprintf(text, size, "%s--%s%s%s", row->letter ? letter : "    ", row->name, row->value ? "=" : "",
             !row->value              ? ""
             : choices_are_short(row) ? row->choices
                                      : row->value);
}

static void print_option(const struct terminal *t, const struct option_row *row, const char *help)
{
    char text[64], words[512];

    option_text(row, text, sizeof(text));
    snprintf(words, sizeof(words), "%s", help ?: row->help);
    if (row->choices && !choices_are_short(row)) {
        size_t n = strlen(words);

        n += (size_t)snprintf(words + n, sizeof(words) - n, ": ");
        for (const char *c = row->choices; *c && n + 3 < sizeof(words); c++)
            n += (size_t)snprintf(words + n, sizeof(words) - n, *c == '|' ? ", " : "%c", *c);
    }
    print_columns(t, OPTION_INDENT, text, words);
}

static void print_general(const struct terminal *t)
{
    for (int id = OPTION_END + 1; id <= OPTION_GENERAL_LAST; id++)
        print_option(t, &option_rows[id], NULL);
}

void help_all(struct ctl *c)
{
    const struct terminal *t = &c->out;
    char ends[256];
    size_t n = 0;

    print_pager(c, n_verbs + 20);
    puts("usage: gatehousectl [OPTION...] [VERB [OPERAND...]]\n");
    for (size_t i = 0; i < n_verbs; i++) {
        char form[64];

        snprintf(form, sizeof(form), "%s %s", verbs[i].name, verbs[i].operands);
        print_columns(t, VERB_INDENT, form, verbs[i].summary);
    }
    putchar('\n');
    print_wrapped(t, stdout, 0, "General options, which every verb takes (gatehousectl VERB --help has a verb's own):");
    print_general(t);
    for (size_t i = 0; i < ELEMENTSOF(statuses) && n < sizeof(ends); i++)
        n += (size_t)snprintf(ends + n, sizeof(ends) - n, "%s %d %s", i > 0 ? "," : "exit status:", statuses[i].status,
                              statuses[i].meaning);
    putchar('\n');
    print_wrapped(t, stdout, 0, ends);
}

static void form_text(const struct verb *verb, char *text, size_t size)
{
    snprintf(text, size, "gatehousectl %s%s%s%s", verb->name, verb->options[0].id ? " [OPTION...]" : "",
             verb->operands[0] ? " " : "", verb->operands);
}

void help_verb(struct ctl *c, const struct verb *verb)
{
    const struct terminal *t = &c->out;
    char form[FORM_MAX];

    print_pager(c, 2 * (ELEMENTSOF(verb->options) + OPTION_GENERAL_LAST));
    form_text(verb, form, sizeof(form));
    fputs("usage: ", stdout);
    print_wrapped(t, stdout, strlen("usage: "), form);
    putchar('\n');
    print_wrapped(t, stdout, 0, verb->summary);
    if (verb->details)
        print_wrapped(t, stdout, 0, verb->details);
    if (verb->options[0].id)
        puts("\nOptions:");
    for (const struct verb_option *o = verb->options; o->id != OPTION_END; o++)
        print_option(t, &option_rows[o->id], o->help);
    puts("\nGeneral options:");
    print_general(t);
}

bool help_forms(const char *word, FILE *to)
{
    size_t n = strlen(word);
    char form[FORM_MAX];
    bool any = false;

    for (size_t i = 0; i < n_verbs; i++) {
        if (strncmp(verbs[i].name, word, n) != 0 || (verbs[i].name[n] != 0 && verbs[i].name[n] != ' '))
            continue;
        form_text(&verbs[i], form, sizeof(form));
        if (to)
            fprintf(to, "%-6s %s\n", any ? "or" : "usage:", form);
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
        help_all(c);
    else if (verb)
        help_verb(c, verb);
    else
        help_forms(argv[0], stdout);
    return 0;
}
