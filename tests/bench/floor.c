/* The floor of a gather: one epoll loop and hiredis, every reply of every server parsed into an object and freed.
 *
 * floor PHASES PORT...   PHASES is a file: for each phase "<replies> <bytes>\n" and that many bytes of commands. A
 * phase begins when every server has answered the one before. Each line on stdin is one round; its milliseconds come
 * out as a line. Connections are kept between rounds.
 */
#include <arpa/inet.h>
#include <hiredis/read.h>
#include <hiredis/hiredis.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST_PHASES 8

struct phase { long replies; long size; char *bytes; };
struct peer { int fd; redisReader *reader; long left; };

static void die(const char *what) { perror(what); exit(1); }

static int read_phases(const char *path, struct phase *phases) {
    FILE *file = fopen(path, "rb");
    int count = 0;
    if (!file) die(path);
    while (count < MOST_PHASES && fscanf(file, "%ld %ld", &phases[count].replies, &phases[count].size) == 2) {
        if (fgetc(file) != '\n') die("phases");
        phases[count].bytes = malloc(phases[count].size);
        if (fread(phases[count].bytes, 1, phases[count].size, file) != (size_t)phases[count].size) die("phases");
        count++;
    }
    fclose(file);
    return count;
}

static void connect_to(struct peer *peer, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int yes = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    peer->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (peer->fd < 0 || connect(peer->fd, (struct sockaddr *)&to, sizeof to)) die("connect");
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    peer->reader = redisReaderCreate();
}

static void ask(struct peer *peer, const struct phase *phase) {
    long sent = 0;
    while (sent < phase->size) {
        ssize_t n = send(peer->fd, phase->bytes + sent, phase->size - sent, 0);
        if (n <= 0) die("send");
        sent += n;
    }
    peer->left = phase->replies;
}

static int hear(struct peer *peer, char *buffer, size_t size) {
    ssize_t n = recv(peer->fd, buffer, size, 0);
    void *reply = NULL;
    if (n <= 0) die("recv");
    if (redisReaderFeed(peer->reader, buffer, n) != REDIS_OK) die("feed");
    while (peer->left > 0) {
        if (redisReaderGetReply(peer->reader, &reply) != REDIS_OK) die("reply");
        if (!reply) return 0;
        freeReplyObject(reply);
        peer->left--;
    }
    return 1;
}

int main(int argc, char **argv) {
    static struct phase phases[MOST_PHASES];
    static char buffer[1 << 16];
    int count = read_phases(argv[1], phases), peers_count = argc - 2, epoll = epoll_create1(0);
    struct peer *peers = calloc(peers_count, sizeof *peers);
    struct epoll_event events[64];
    char line[16];
    for (int n = 0; n < peers_count; n++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &peers[n]};
        connect_to(&peers[n], atoi(argv[n + 2]));
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, peers[n].fd, &event)) die("epoll");
    }
    while (fgets(line, sizeof line, stdin)) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        for (int phase = 0; phase < count; phase++) {
            int waiting = peers_count;
            for (int n = 0; n < peers_count; n++) ask(&peers[n], &phases[phase]);
            while (waiting) {
                int ready = epoll_wait(epoll, events, 64, -1);
                for (int n = 0; n < ready; n++) waiting -= hear(events[n].data.ptr, buffer, sizeof buffer);
            }
        }
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("%.6f\n", (end.tv_sec - start.tv_sec) * 1e3 + (end.tv_nsec - start.tv_nsec) / 1e6);
        fflush(stdout);
    }
    return 0;
}
