/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PID 1 of the virtual machine of ./dev ble, the only program of its initramfs: inserts the modules in /modules in the
 * order of their names, makes the host's files the root (what is written goes to memory, never to the host), runs what
 * stands in /command, one argument a line, and prints its status. Statically linked: nothing of a distribution is
 * needed but its kernel. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <net/if.h>

#define ARGUMENTS_MAX 32
#define COMMAND_MAX 4096

static void failed(const char *what)
{
    printf("init: %s: %s\n", what, strerror(errno));
}

static int by_name(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void insert_modules(void)
{
    struct dirent **entries;
    int n = scandir("/modules", &entries, by_name, alphasort);
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];
        (void)snprintf(path, sizeof(path), "/modules/%s", entries[i]->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
            failed(path);
        (void)close(fd);
    }
}

static void mount_at(const char *source, const char *target, const char *type, const char *options)
{
    if (mount(source, target, type, strcmp(type, "9p") == 0 ? MS_RDONLY : 0, options) < 0)
        failed(target);
}

/* A static program may not name them by sd-bus or netlink. */
static void loopback_up(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        failed("lo");
    (void)close(fd);
}

static void run(char *command)
{
    char *arguments[ARGUMENTS_MAX + 1] = {NULL};
    int n = 0;
    for (char *line = strtok(command, "\n"); line && n < ARGUMENTS_MAX; line = strtok(NULL, "\n"))
        arguments[n++] = line;
    (void)execv(arguments[0], arguments);
    failed(arguments[0]);
    _exit(127);
}

int main(void)
{
    static char command[COMMAND_MAX];
    insert_modules();
    int fd = open("/command", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, command, sizeof(command) - 1) <= 0)
        failed("/command");
    (void)mkdir("/host", 0755);
    (void)mkdir("/memory", 0755);
    (void)mkdir("/root", 0755);
    mount_at("root", "/host", "9p", "trans=virtio,version=9p2000.L,cache=loose,msize=512000");
    mount_at("memory", "/memory", "tmpfs", NULL);
    (void)mkdir("/memory/upper", 0755);
    (void)mkdir("/memory/work", 0755);
    mount_at("overlay", "/root", "overlay", "lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work");
    if (chroot("/root") < 0 || chdir("/") < 0)
        failed("/root");
    mount_at("proc", "/proc", "proc", NULL);
    mount_at("sys", "/sys", "sysfs", NULL);
    mount_at("dev", "/dev", "devtmpfs", NULL);
    (void)mkdir("/dev/shm", 01777);
    (void)mkdir("/var/lib/bluetooth", 0700);
    mount_at("shm", "/dev/shm", "tmpfs", NULL);
    mount_at("run", "/run", "tmpfs", NULL);
    mount_at("bluetooth", "/var/lib/bluetooth", "tmpfs", NULL);
    loopback_up();

    pid_t child = fork();
    if (child == 0)
        run(command);
    int status = 1;
    for (pid_t pid = 0; pid != child;) {
        pid = wait(&status);
        if (pid < 0 && errno != EINTR)
            break;
    }
    printf("\ninit: status %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    (void)fflush(stdout);
    sync();
    (void)reboot(RB_AUTOBOOT); /* the machine ends with it */
    return 1;
}
