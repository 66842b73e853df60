/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Handshakes while no agent runs: gatehoused tries them, since no other program may have keys. */
#include "base/json.h"
#include "base/limits.h"
#include "base/names.h"
#include "check/local.h"
#include "check/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUBJECT "handshakes"
#define ERROR_MARK "error: "
/* The rest of its work: opening the vault, and ending. */
#define BESIDE (30 * USEC_PER_SEC)

/* The last line, which has the findings or says what failed. */
static const char *last_line(char *text)
{
    size_t n = strlen(text);
    char *line;

    if (n > 0 && text[n - 1] == '\n')
        text[n - 1] = 0;
    line = strrchr(text, '\n');
    return line ? line + 1 : text;
}

static bool take_findings(const char *text, struct findings *f)
{
    _cleanup_json_ json_object *o = NULL;
    json_object *list;

    if (json_parse(text, strlen(text), &o, NULL) < 0 || !json_object_object_get_ex(o, "findings", &list) ||
        !json_object_is_type(list, json_type_array))
        return false;
    for (size_t i = 0; i < json_object_array_length(list); i++)
        findings_add_json(f, json_object_array_get_idx(list, i));
    return true;
}

static void encrypted(const struct check_place *p, struct findings *f)
{
    finding_mend_words(f,
                       findings_add(f, FINDING_NOT_LOOKED, SUBJECT,
                                    "none was tried: the keyfile %s is encrypted for the service gatehouse",
                                    p->keyfile),
                       "sudo systemd-run --pipe --wait -p LoadCredentialEncrypted=key_current:%s %s --check-handshakes "
                       "--config-dir %s --state-dir %s --user %s",
                       p->keyfile, p->agent_program, p->config_dir, p->state_dir, p->user);
}

/* The reason that keeps the agent from starting, in its own words: "gatehoused: error: PLACE: WORDS". */
static void cannot_start(const struct check_place *p, const char *line, struct findings *f)
{
    const char *error = strstr(line, ERROR_MARK), *words = error ? error + strlen(ERROR_MARK) : line;
    const char *end = strstr(words, ": ");
    _cleanup_free_ char *place =
        words[0] == '/' && end ? strndup(words, (size_t)(end - words)) : strdup(p->config->file);

    if (!place) {
        f->failed = -ENOMEM;
        return;
    }
    finding_mend_words(
        f, findings_add(f, FINDING_BAD_SETTING, place, "%s", words[0] == '/' && end ? end + strlen(": ") : words),
        "%s --check-config --config-dir %s", p->agent_program, p->config_dir);
}

void check_handshakes(const struct check_place *p, struct findings *f)
{
    const char *argv[] = {
        p->agent_program, "--check-handshakes", "--config-dir", p->config_dir, "--state-dir", p->state_dir,
        "--keyfile",      p->keyfile,           "--user",       p->user,       NULL};
    const struct check_run run = {.argv = argv, .errors = true, .wait = CHECK_TRY_WAIT + BESIDE};
    _cleanup_free_ char *text = malloc(CHECK_TRY_OUTPUT);
    const char *words;
    int status;

    if (!p->config || p->config->n_uplinks == 0 || p->root[0])
        return;
    if (check_keyfile_encrypted(p)) {
        encrypted(p, f);
        return;
    }
    if (!text) {
        f->failed = -ENOMEM;
        return;
    }
    status = check_run(&run, text, CHECK_TRY_OUTPUT);
    words = status >= 0 ? last_line(text) : strerrordesc_np(-status);
    if (status == 0 && take_findings(words, f))
        return;
    if (status == EXIT_CONFIG)
        cannot_start(p, words, f);
    else
        finding_mend_words(
            f, findings_add(f, FINDING_NOT_LOOKED, SUBJECT, "none was tried: %s: %s", p->agent_program, words),
            "sudo %s --check-handshakes --config-dir %s --state-dir %s --keyfile %s --user %s", p->agent_program,
            p->config_dir, p->state_dir, p->keyfile, p->user);
}
