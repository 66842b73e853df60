/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tty-agent.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define AGENT "pkttyagent"

static pid_t agent; /* 0: none */

/* In the child: only this descriptor goes along; it is closed when the agent is registered. */
static void run_agent(int notify)
{
    char number[16];

    snprintf(number, sizeof(number), "%d", notify);
    if (fcntl(notify, F_SETFD, 0) >= 0 && prctl(PR_SET_PDEATHSIG, SIGTERM) >= 0)
        execlp(AGENT, AGENT, "--notify-fd", number, "--fallback", NULL);
    _exit(127);
}

static bool ended(void)
{
    if (waitpid(agent, NULL, WNOHANG) != agent)
        return false;
    agent = 0;
    return true;
}

int tty_agent_open(void)
{
    _cleanup_close_ int ready = -EBADF, notify = -EBADF;
    int fds[2];

    if (agent > 0)
        return 0;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    ready = fds[0];
    notify = fds[1];
    agent = fork();
    if (agent < 0) {
        agent = 0;
        return -errno;
    }
    if (agent == 0)
        run_agent(notify);
    close(TAKE_FD(notify));
    while (poll(&(struct pollfd){.fd = ready, .events = POLLIN}, 1, -1) < 0 && errno == EINTR)
        ;
    return ended() ? -ENOENT : 0;
}

void tty_agent_close(void)
{
    if (agent <= 0)
        return;
    kill(agent, SIGTERM);
    kill(agent, SIGCONT);
    while (waitpid(agent, NULL, 0) < 0 && errno == EINTR)
        ;
    agent = 0;
}
