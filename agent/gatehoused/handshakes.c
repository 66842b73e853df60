/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handshakes.h"

#include "copy.h"
#include "dumps.h"

#include "base/database.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/names.h"
#include "doctor/trial.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define SUBJECT "handshakes"

/* Takes on the rights of the agent's user for good, or of nobody where that is root or not there: what answers a
 * handshake is foreign, and all that needs rights is open. */
static int become(const char *name, struct error *e)
{
    const struct passwd *user;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_errno(e, -errno, "cannot give up new privileges");
    if (geteuid() != 0)
        return 0;
    user = getpwnam(name);
    if (!user || user->pw_uid == 0)
        user = getpwnam(name = "nobody");
    if (!user)
        return error_set(e, -ESRCH, "there is no user %s whose rights to take on", name);
    if (initgroups(user->pw_name, user->pw_gid) < 0 || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
        return error_errno(e, -errno, "cannot take on the rights of user %s", name);
    dumps_forbid();
    return 0;
}

static bool is_held(const char *path, struct findings *f)
{
    struct error e = {0};
    struct finding *held;
    int pid = 0;

    if (database_held(path, &pid, &e) <= 0)
        return false;
    held = findings_add(f, FINDING_NOT_LOOKED, SUBJECT, "none was tried, since %s, which does not answer on this bus",
                        e.text);
    if (pid > 0)
        finding_mend(f, held, "ps -p %d", pid);
    return true;
}

/* A keyfile that is not there is a matter of no rights. */
static bool is_about_rights(int r, const struct options *o)
{
    return r == -EACCES || r == -EPERM ||
           (r == -ENOKEY && o->keyfile && access(o->keyfile, R_OK) < 0 && errno == EACCES);
}

/* For the places that were looked at. */
static void mend_closed(struct findings *f, struct finding *closed, int r, const struct options *o)
{
    const char *keyfile = o->keyfile ?: KEYFILE_DIR "/" KEYFILE_CURRENT;

    if (r == -ENOKEY)
        finding_mend_words(f, closed, "sudo install -m 0400 COPY %s", keyfile);
    else if (r == -EKEYREJECTED)
        finding_mend_words(f, closed, "sudo gatehoused --recover --config-dir %s --state-dir %s --keyfile %s",
                           o->config_dir, o->state_dir, keyfile);
    else if (r == -EBADMSG || r == -EMEDIUMTYPE)
        finding_mend_words(f, closed,
                           "sudo gatehoused --restore BACKUP --force --config-dir %s --state-dir %s --keyfile %s",
                           o->config_dir, o->state_dir, keyfile);
}

/* Whether keys can be had, or it is known that there are none. Otherwise a finding says why not. */
static void open_vault(sd_event *event, const char *path, const struct options *o, const struct config *config,
                       struct copy *copy, struct trial *trial, struct findings *f)
{
    struct error e = {0};
    int r = copy_open(event, path, o, config, copy, &e);

    trial->arena = copy->arena;
    trial->vault = copy->vault;
    trial->none = r == -ENOENT && access(path, F_OK) < 0 && errno == ENOENT;
    if (r >= 0 || trial->none)
        return;
    if (is_about_rights(r, o))
        finding_mend_words(f,
                           findings_add(f, FINDING_NOT_LOOKED, SUBJECT, "none was tried with a key: %s",
                                        e.text[0] ? e.text : strerrordesc_np(-r)),
                           "sudo gatehousectl check");
    else if (!copy->directory[0])
        finding_mend_words(f, findings_add(f, FINDING_NOT_LOOKED, SUBJECT, "none was tried with a key: %s", e.text),
                           "sudo TMPDIR=/run gatehousectl check");
    else
        mend_closed(f, findings_add(f, FINDING_VAULT_CLOSED, path, "%s", e.text[0] ? e.text : strerrordesc_np(-r)), r,
                    o);
}

static void print(const struct findings *f)
{
    _cleanup_json_ json_object *o = json_object_new_object();
    json_object *list = json_object_new_array();

    for (size_t i = 0; i < f->n; i++)
        json_object_array_add(list, finding_json(&f->list[i]));
    json_object_object_add(o, "findings", list);
    puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

static int try_all(sd_event *event, const struct options *o, const struct config *config, struct copy *copy,
                   struct findings *f, struct error *e)
{
    struct trial trial = {.event = event, .config = config};
    char path[PATH_MAX];
    int r;

    if (snprintf(path, sizeof(path), "%s/" VAULT_FILE, o->state_dir) >= (int)sizeof(path))
        return error_set(e, -ENAMETOOLONG, "%s: the path is too long", o->state_dir);
    if (is_held(path, f))
        return 0;
    open_vault(event, path, o, config, copy, &trial, f);
    copy_unlink(copy);
    r = become(o->user, e);
    return r >= 0 ? trial_run(&trial, f, e) : r;
}

int check_handshakes(sd_event *event, const struct options *o, const struct config *config)
{
    _cleanup_(copy_done) struct copy copy = {0};
    struct findings f = {0};
    struct error e = {0};
    int r = try_all(event, o, config, &copy, &f, &e);

    if (r < 0)
        log_error(NULL, "cannot try handshakes: %s", e.text[0] ? e.text : strerrordesc_np(-r));
    else
        print(&f);
    findings_done(&f);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
