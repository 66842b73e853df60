/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A registrar of another process, asked over its socket: one answer to each call, whatever becomes of the other side,
 * and whether the request may have been carried out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "registrar/channel.h"
#include "registrar/registrar.h"
#include "vault-scratch.h"

#include "coap-peer.h"

#include <sys/un.h>

/* The other side: answers each request with `answer`, once it has been read to its end. */
struct fixture {
    struct scratch *s;
    struct registrar *registrar;
    struct vault_entry *entry;
    sd_event_source *listening, *io;
    int listener, fd;
    char path[96];
    const char *answer; /* NULL: none, and the connection stays */
    bool hangs_up;      /* at once, without reading */
    size_t flood;       /* so many bytes for an answer */
    char request[4096];
    size_t n;
    unsigned requests;

    unsigned answers;
    enum registrar_result result;
    bool maybe_sent;
    char cloud_id[64], reason[512];
    uint64_t retry_after;
};

static struct fixture f;

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    static const char zeros[4096];
    size_t room = f.n < sizeof(f.request) ? sizeof(f.request) - 1 - f.n : 0;
    ssize_t n;

    assert_true(room > 0);
    n = read(fd, f.request + f.n, room);
    assert_true(n >= 0);
    f.n += (size_t)n;
    if (n > 0)
        return 0;
    f.request[f.n] = '\0';
    f.requests++;
    f.io = sd_event_source_disable_unref(f.io);
    if (!f.answer && f.flood == 0)
        return 0;
    if (f.answer)
        assert_int_equal(write(fd, f.answer, strlen(f.answer)), strlen(f.answer));
    while (f.flood > 0) {
        n = send(fd, zeros, MIN_OF(f.flood, sizeof(zeros)), MSG_NOSIGNAL);
        f.flood -= n > 0 ? (size_t)n : f.flood;
    }
    close(fd);
    f.fd = -1;
    return 0;
}

static int on_accept(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    if (f.fd >= 0)
        close(f.fd);
    f.io = sd_event_source_disable_unref(f.io);
    f.fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    f.n = 0;
    if (f.hangs_up) {
        close(f.fd);
        f.fd = -1;
        return 0;
    }
    assert_int_equal(sd_event_add_io(f.s->event, &f.io, f.fd, POLLIN, on_io, NULL), 0);
    return 0;
}

static int setup(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct error e = {0};

    scratch_setup(state);
    f = (struct fixture){.s = *state, .fd = -1};
    snprintf(f.path, sizeof(f.path), "%s/hono.sock", f.s->directory);
    strcpy(address.sun_path, f.path);
    f.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f.listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(f.listener, 4), 0);
    assert_int_equal(sd_event_add_io(f.s->event, &f.listening, f.listener, POLLIN, on_accept, NULL), 0);
    if (scratch_put(f.s, "boiler-1", VAULT_MAIN, "child-1", 1, &e) < 0)
        fail_msg("%s", e.text);
    f.entry = vault_find(f.s->vault, "boiler-1", "cloud");
    assert_int_equal(registrar_remote_new(f.s->event, f.path, "{\"url\":\"https://x\"}", true, VAULT_HEX, &f.registrar),
                     0);
    return 0;
}

static int teardown(void **state)
{
    registrar_free(f.registrar);
    sd_event_source_disable_unref(f.listening);
    sd_event_source_disable_unref(f.io);
    close(f.listener);
    if (f.fd >= 0)
        close(f.fd);
    return scratch_teardown(state);
}

static void on_done(const struct registrar_answer *answer, void *userdata)
{
    f.answers++;
    f.result = answer->result;
    f.maybe_sent = answer->maybe_sent;
    f.retry_after = answer->retry_after;
    snprintf(f.cloud_id, sizeof(f.cloud_id), "%s", answer->cloud_id);
    snprintf(f.reason, sizeof(f.reason), "%s", answer->reason);
}

typedef int call_fn(struct registrar *r, const struct registrar_credential *credential, registrar_done *done,
                    void *userdata, struct registrar_call **ret, struct error *e);

static int call(call_fn *what, struct registrar_call **ret, struct error *e)
{
    const struct registrar_credential credential = {.vault = f.s->vault, .entry = f.entry, .slot = VAULT_MAIN};

    return what(f.registrar, &credential, on_done, NULL, ret, e);
}

static void ask(call_fn *what)
{
    struct registrar_call *c;
    struct error e = {0};

    f.answers = 0;
    if (call(what, &c, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(f.answers, 0); /* never from within the call */
    run_until(f.s->event, f.answers == 1);
}

static void set_cloud_id(const char *id)
{
    struct vault_change *c = vault_change_new(f.s->vault, "boiler-1", "cloud");
    struct error e = {0};

    if (vault_change_cloud_id(c, VAULT_MAIN, id) < 0 || vault_commit_sync(f.s->vault, c, &e) < 0)
        fail_msg("%s", e.text);
}

static void test_an_offer_carries_the_key_and_brings_the_clouds_id(void **state)
{
    json_object *o = NULL;
    struct error e;

    f.answer = "{\"result\":\"ok\",\"cloud_id\":\"c-7\"}";
    ask(registrar_offer);
    assert_int_equal(f.result, REGISTRAR_OK);
    assert_string_equal(f.cloud_id, "c-7");
    assert_int_equal(json_parse(f.request, strlen(f.request), &o, &e), 0);
    assert_string_equal(json_get_string(o, "action"), "put");
    assert_string_equal(json_get_string(o, "device"), "boiler-1");
    assert_string_equal(json_get_string(o, "identity"), "child-1");
    assert_string_equal(json_get_string(o, "mode"), "replaces");
    assert_int_equal(strlen(json_get_string(o, "key")), 64);
    json_object_put(o);
}

static void test_looking_carries_no_key_and_cannot_have_changed_anything(void **state)
{
    f.answer = "{\"result\":\"retry\",\"maybe_sent\":true}";
    ask(registrar_find);
    assert_int_equal(f.result, REGISTRAR_RETRY);
    assert_false(f.maybe_sent);
    assert_null(strstr(f.request, "\"key\""));
    assert_non_null(strstr(f.request, "\"find\""));
}

static void test_a_deletion_needs_the_clouds_id(void **state)
{
    struct registrar_call *c;
    struct error e;

    assert_int_equal(call(registrar_delete, &c, &e), -ENODATA);
    set_cloud_id("c-7");
    f.answer = "{\"result\":\"absent\"}";
    ask(registrar_delete);
    assert_int_equal(f.result, REGISTRAR_ABSENT);
    assert_non_null(strstr(f.request, "\"cloud_id\":\"c-7\""));
}

static void test_a_registrar_that_hangs_up_may_have_carried_it_out_or_not(void **state)
{
    f.answer = "";
    ask(registrar_offer);
    assert_int_equal(f.result, REGISTRAR_RETRY);
    assert_true(f.maybe_sent);
    assert_non_null(strstr(f.reason, "did not answer"));
}

static void test_an_answer_without_end_is_not_kept(void **state)
{
    f.flood = REGISTRAR_MESSAGE_MAX + 1;
    ask(registrar_offer);
    assert_int_equal(f.result, REGISTRAR_RETRY);
    assert_true(f.maybe_sent);
}

static void test_a_cancelled_call_ends_at_once_and_knows_whether_it_was_sent(void **state)
{
    struct registrar_call *c;
    struct error e;

    assert_int_equal(call(registrar_offer, &c, &e), 0);
    registrar_call_cancel(c);
    assert_int_equal(f.answers, 1);
    assert_int_equal(f.result, REGISTRAR_RETRY);
    assert_false(f.maybe_sent);
    assert_int_equal(call(registrar_offer, &c, &e), 0);
    run_until(f.s->event, f.requests == 1);
    registrar_call_cancel(c);
    assert_int_equal(f.answers, 2);
    assert_true(f.maybe_sent);
}

static void test_a_cloud_that_asks_for_peace_holds_back_every_call(void **state)
{
    struct registrar_call *c;
    struct error e;

    f.answer = "{\"result\":\"retry\",\"maybe_sent\":false,\"retry_after\":60}";
    ask(registrar_offer);
    assert_int_equal(f.retry_after, 60 * USEC_PER_SEC);
    assert_false(f.maybe_sent);
    assert_int_equal(call(registrar_find, &c, &e), -EAGAIN);
    assert_non_null(strstr(e.text, "left alone"));
}

static void test_where_nobody_listens_the_unit_is_named(void **state)
{
    struct registrar_call *c;
    struct error e;

    unlink(f.path);
    assert_int_equal(call(registrar_offer, &c, &e), -ENOENT);
    assert_non_null(strstr(e.text, ".socket unit"));
    assert_int_equal(f.answers, 0);
}

static void test_a_path_that_is_too_long_is_refused_with_its_bound(void **state)
{
    struct registrar *r;
    struct registrar_call *c;
    struct error e;
    char path[200];
    const struct registrar_credential credential = {.vault = f.s->vault, .entry = f.entry, .slot = VAULT_MAIN};

    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(registrar_remote_new(f.s->event, path, "{}", false, VAULT_TEXT, &r), 0);
    assert_true(r->traits.text_keys && r->traits.out_of_band && !r->traits.replaces);
    assert_int_equal(registrar_find(r, &credential, on_done, NULL, &c, &e), -ENAMETOOLONG);
    assert_null(registrar_free(r));
}

static void on_timed_out(int r, bool sent, const char *answer, size_t n, void *userdata)
{
    *(int *)userdata = r;
    assert_true(sent);
}

static void test_silence_ends_by_the_deadline(void **state)
{
    struct channel *channel;
    struct error e;
    int r = 0;

    assert_int_equal(channel_new(f.s->event, f.path, strdup("{}"), USEC_PER_SEC, on_timed_out, &r, &channel, &e), 0);
    run_until(f.s->event, r != 0);
    assert_int_equal(r, -ETIMEDOUT);
    assert_true(channel_sent(channel));
    assert_null(channel_free(channel));
    assert_null(channel_free(NULL));
}

static void test_a_manual_registrar_asks_nobody(void **state)
{
    struct registrar *r;
    struct registrar_call *c;
    struct error e;

    assert_int_equal(registrar_manual_new(true, &r), 0);
    assert_true(r->traits.manual && r->traits.replaces);
    assert_int_equal(registrar_offer(r, NULL, on_done, NULL, &c, &e), -EOPNOTSUPP);
    assert_int_equal(registrar_find(r, NULL, on_done, NULL, &c, &e), -EOPNOTSUPP);
    assert_int_equal(registrar_delete(r, NULL, on_done, NULL, &c, &e), -EOPNOTSUPP);
    registrar_free(r);
    assert_null(registrar_free(NULL));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_an_offer_carries_the_key_and_brings_the_clouds_id),
        WITH(test_looking_carries_no_key_and_cannot_have_changed_anything),
        WITH(test_a_deletion_needs_the_clouds_id),
        WITH(test_a_registrar_that_hangs_up_may_have_carried_it_out_or_not),
        WITH(test_an_answer_without_end_is_not_kept),
        WITH(test_a_cancelled_call_ends_at_once_and_knows_whether_it_was_sent),
        WITH(test_a_cloud_that_asks_for_peace_holds_back_every_call),
        WITH(test_where_nobody_listens_the_unit_is_named),
        WITH(test_a_path_that_is_too_long_is_refused_with_its_bound),
        WITH(test_silence_ends_by_the_deadline),
        WITH(test_a_manual_registrar_asks_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
