/* The floor, in C: yardstick watch APP LEDGER MODE N   a supervisor that does nothing but its job
 *                  yardstick fork  APP LEDGER N        fork + exec, N times, one line `NAME NANOSECONDS` each
 *
 * watch: one process, N children by posix_spawn, each in a session of its own; one that ends is started again at
 * once. SIGTERM ends them all. No log, no record, no configuration: what the job costs when nothing else is done.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST 1024

extern char **environ;
static char names[MOST][16];
static pid_t pids[MOST];
static posix_spawnattr_t attributes;

static pid_t spawn(char *app, char *ledger, char *mode, int number)
{
    char *argv[] = {app, ledger, names[number], mode, NULL};
    pid_t pid;
    return posix_spawn(&pid, app, NULL, &attributes, argv, environ) ? 0 : pid;
}

static int watch(char *app, char *ledger, char *mode, int count)
{
    sigset_t awaited, none;
    sigemptyset(&none);
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    sigaddset(&awaited, SIGTERM);
    sigprocmask(SIG_BLOCK, &awaited, NULL);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
    for (int i = 0; i < count; i++)
        pids[i] = spawn(app, ledger, mode, i);
    for (;;) {
        if (sigwaitinfo(&awaited, NULL) == SIGTERM) {
            for (int i = 0; i < count; i++)
                kill(pids[i], SIGTERM);
            while (wait(NULL) > 0)
                ;
            return 0;
        }
        pid_t ended;
        while ((ended = waitpid(-1, NULL, WNOHANG)) > 0)
            for (int i = 0; i < count; i++)
                if (pids[i] == ended)
                    pids[i] = spawn(app, ledger, mode, i);
    }
}

static int forks(char *app, char *ledger, int count)
{
    char mode[] = "end";
    for (int i = 0; i < count; i++) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        pid_t pid = fork();
        if (pid == 0) {
            char *argv[] = {app, ledger, names[i], mode, NULL};
            execv(app, argv);
            _exit(127);
        }
        waitpid(pid, NULL, 0);
        printf("%s %lld\n", names[i], now.tv_sec * 1000000000LL + now.tv_nsec);
    }
    return 0;
}

int main(int argc, char **argv)
{
    int count = argc > 4 ? atoi(argv[argc - 1]) : 0;
    if (count < 1 || count > MOST)
        return 2;
    for (int i = 0; i < count; i++)
        snprintf(names[i], sizeof names[i], "app%03d", i);
    if (argc == 6 && strcmp(argv[1], "watch") == 0)
        return watch(argv[2], argv[3], argv[4], count);
    if (argc == 5 && strcmp(argv[1], "fork") == 0)
        return forks(argv[2], argv[3], count);
    return 2;
}
