/* A hub that checks nothing, the yardstick of kegnet_hub.py: plain_hub PORT
 * Whatever whole messages (they end with an empty line) one read brought go on to every client that never said
 * anything itself, in one write. What a client does not read is kept for it, without bound. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 256, READ_BYTES = 65536, MESSAGE_BYTES = 4096 };

struct client {
    int fd, speaks;
    char in[READ_BYTES + MESSAGE_BYTES];
    size_t had;
    char *unsent;
    size_t waiting, room;
};

static struct client clients[CLIENTS];
static int poll_fd, count;

static void watch(struct client *c, int operation, uint32_t events)
{
    struct epoll_event wanted = {.events = events, .data.ptr = c};
    epoll_ctl(poll_fd, operation, c->fd, &wanted);
}

static void pass_on(struct client *c, const char *data, size_t length)
{
    if (!c->waiting) {
        ssize_t sent = send(c->fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent == (ssize_t)length)
            return;
        if (sent > 0) {
            data += sent;
            length -= sent;
        }
        watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    if (c->waiting + length > c->room) {
        c->room = 2 * (c->waiting + length);
        c->unsent = realloc(c->unsent, c->room);
        if (!c->unsent)
            exit(1);
    }
    memcpy(c->unsent + c->waiting, data, length);
    c->waiting += length;
}

static void send_waiting(struct client *c)
{
    ssize_t sent = send(c->fd, c->unsent, c->waiting, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
        c->waiting -= sent;
        memmove(c->unsent, c->unsent + sent, c->waiting);
    }
    if (!c->waiting)
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static void receive(struct client *c)
{
    ssize_t got = recv(c->fd, c->in + c->had, READ_BYTES, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0 || c->had > MESSAGE_BYTES) {
        close(c->fd);
        c->fd = -1;
        return;
    }
    c->speaks = 1;
    c->had += got;
    size_t end = c->had;
    while (end > 1 && !(c->in[end - 1] == '\n' && c->in[end - 2] == '\n'))
        end--;
    if (end < 2)
        return;
    for (int i = 0; i < count; i++)
        if (clients[i].fd >= 0 && !clients[i].speaks)
            pass_on(&clients[i], c->in, end);
    c->had -= end;
    memmove(c->in, c->in + end, c->had);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[argc - 1]))};
    struct epoll_event ready[64], incoming = {.events = EPOLLIN, .data.ptr = NULL};
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 128)) {
        perror("plain_hub");
        return 1;
    }
    poll_fd = epoll_create1(0);
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &incoming);
    for (;;) {
        int number = epoll_wait(poll_fd, ready, 64, -1);
        for (int i = 0; i < number; i++) {
            struct client *c = ready[i].data.ptr;
            if (c) {
                if (ready[i].events & EPOLLOUT)
                    send_waiting(c);
                if (ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                    receive(c);
            } else if (count < CLIENTS) {
                c = &clients[count];
                c->fd = accept(listener, NULL, NULL);
                if (c->fd >= 0) {
                    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                    watch(c, EPOLL_CTL_ADD, EPOLLIN);
                    count++;
                }
            }
        }
    }
}
