/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include "base/clock.h"
#include "base/limits.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#define LINE_SIZE 1024

static const char *program_name = "gatehouse";
static atomic_int max_level = LOG_INFO;
static bool to_journal;

/* systemd.exec(5): standard error is the journal if its device and inode are those of $JOURNAL_STREAM. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;

    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
           st.st_dev == device && st.st_ino == inode;
}

void log_init(const char *program, int level)
{
    program_name = program;
    max_level = level;
    to_journal = stderr_is_journal();
}

void log_set_level(int level)
{
    max_level = level;
}

int log_level(void)
{
    return max_level;
}

/* The journal knows the unit of standard error beforehand, that of a message only from its sender's process, if it
 * still runs: what a program says last is found by its unit only if it goes the first way. */
static void emit(int level, const char *device, const char *text)
{
    char line[LINE_SIZE + 256];
    int n;

    if (to_journal && (device || strchr(text, '\n'))) {
        sd_journal_send("PRIORITY=%i", level, "MESSAGE=%s%s%s", device ?: "", device ? ": " : "", text,
                        device ? "GATEHOUSE_DEVICE=%s" : NULL, device, NULL);
        return;
    }
    if (to_journal)
        n = snprintf(line, sizeof(line), "<%d>%s\n", level, text);
    else
        n = snprintf(line, sizeof(line), "%s: %s%s%s%s\n", program_name, device ?: "", device ? ": " : "",
                     level <= LOG_WARNING ? (level <= LOG_ERR ? "error: " : "warning: ") : "", text);
    if (n >= (int)sizeof(line))
        n = (int)sizeof(line) - 1;
    (void)!write(STDERR_FILENO, line, (size_t)n);
}

void log_write(int level, const char *device, const char *format, ...)
{
    char text[LINE_SIZE];
    va_list ap;

    if (level > max_level)
        return;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    emit(level, device, text);
}

void log_asked(int level, const char *device, const char *format, ...)
{
    char text[LINE_SIZE];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    emit(level, device, text);
}

void log_limited(struct ratelimit *limit, int level, const char *device, const char *format, ...)
{
    char text[LINE_SIZE];
    uint64_t denied = limit->denied;
    va_list ap;
    size_t n;

    if (level > max_level || !ratelimit_take(limit, clock_boottime(), 1))
        return;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    n = strlen(text);
    if (denied > 0)
        snprintf(text + n, sizeof(text) - n, " (and %llu like it not shown)", (unsigned long long)denied);
    emit(level, device, text);
}

/* Fields that are not there are left out, not empty. */
static void send_audit(int level, const char *message_id, const char *device, const char *uid, const char *text)
{
    char fields[5][LINE_SIZE + 128];
    struct iovec iov[5];
    int n = 0;

    snprintf(fields[n++], sizeof(fields[0]), "PRIORITY=%d", level);
    snprintf(fields[n++], sizeof(fields[0]), "MESSAGE_ID=%s", message_id);
    snprintf(fields[n++], sizeof(fields[0]), "MESSAGE=%s%s%s", device ?: "", device ? ": " : "", text);
    if (device)
        snprintf(fields[n++], sizeof(fields[0]), "GATEHOUSE_DEVICE=%s", device);
    if (*uid)
        snprintf(fields[n++], sizeof(fields[0]), "GATEHOUSE_CALLER_UID=%s", uid);
    for (int i = 0; i < n; i++)
        iov[i] = (struct iovec){fields[i], strlen(fields[i])};
    sd_journal_sendv(iov, n);
}

static void write_audit(int level, const char *message_id, const char *device, uint32_t uid,
                        char text[static LINE_SIZE])
{
    char who[16] = "";
    size_t n = strlen(text);

    if (uid != NOBODY) {
        snprintf(who, sizeof(who), "%u", uid);
        snprintf(text + n, LINE_SIZE - n, " (by uid %s)", who);
    }
    if (to_journal || geteuid() == 0)
        send_audit(level, message_id, device, who, text);
    if (!to_journal)
        emit(level, device, text);
}

void log_audit(int level, const char *message_id, const char *device, uint32_t uid, const char *format, ...)
{
    char text[LINE_SIZE];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    write_audit(level, message_id, device, uid, text);
}

void log_audit_limited(struct ratelimit *limit, int level, const char *message_id, const char *device, uint32_t uid,
                       const char *format, ...)
{
    char text[LINE_SIZE];
    uint64_t denied = limit->denied;
    va_list ap;
    size_t n;

    if (!ratelimit_take(limit, clock_boottime(), 1))
        return;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    n = strlen(text);
    if (denied > 0)
        snprintf(text + n, sizeof(text) - n, " (and %llu like it not shown)", (unsigned long long)denied);
    write_audit(level, message_id, device, uid, text);
}
