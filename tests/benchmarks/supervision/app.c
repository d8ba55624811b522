/* The supervised app: app LEDGER NAME [idle | end | stubborn]
 *
 * The first thing main() does is read CLOCK_MONOTONIC; then one line `NAME PID NANOSECONDS` goes to the ledger, in
 * one write, so lines never mix. idle: live until a signal ends it. end: end at once. stubborn: ignore SIGTERM.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (argc < 3)
        return 2;
    const char *mode = argc > 3 ? argv[3] : "idle";
    if (strcmp(mode, "stubborn") == 0)
        signal(SIGTERM, SIG_IGN);
    char line[256];
    int size = snprintf(line, sizeof line, "%s %d %lld\n", argv[2], (int)getpid(),
                        now.tv_sec * 1000000000LL + now.tv_nsec);
    int fd = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, line, size) != size)
        return 3;
    if (strcmp(mode, "end") == 0)
        return 1;
    for (;;)
        pause();
}
