/* A clock that stands elsewhere: every process that is started with this library preloaded sees the real time plus
 * SHIFT seconds, and so does every process that it starts. `make test-clocks` compiles it, SHIFT as a constant, so
 * that one inherited variable (LD_PRELOAD) is all there is to it.
 *
 * What is shifted: the wall clock; the times of files, read and set, so that a file written now was written now; and the
 * absolute moments until which somebody waits on the wall clock. What is not: the monotonic clocks and every wait for a
 * length of time, which is why sleep, poll and Event.wait go on as they are.
 *
 * It reaches what is linked dynamically to libc and calls it: neither raw system calls nor set-user-id programs, nor
 * what is started with an empty environment.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

#ifndef SHIFT
#error "compile with -DSHIFT=seconds"
#endif

/* A moment later than this many seconds is one of the wall clock: no machine has been up since 1970. */
#define WALL 1000000000L

/* The function of that name behind this library: libc's, or another clock's that is preloaded too (their shifts add up).
 * It is looked up once; two threads that do it at the same time find the same. */
#define NEXT(name)                                        \
    ({                                                    \
        static __typeof__(&name) found_##name;            \
        if (!found_##name)                                \
            found_##name = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
        found_##name;                                     \
    })

/* --- the wall clock ------------------------------------------------------------------------------------------------ */

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int status = NEXT(clock_gettime)(clock, now);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI))
        now->tv_sec += SHIFT;
    return status;
}

time_t time(time_t *kept)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (kept)
        *kept = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict kept, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    kept->tv_sec = now.tv_sec;
    kept->tv_usec = now.tv_nsec / 1000;
    return 0;
}

int timespec_get(struct timespec *now, int base)
{
    if (base != TIME_UTC)
        return 0;
    clock_gettime(CLOCK_REALTIME, now);
    return base;
}

/* --- the times of files, read ------------------------------------------------------------------------------------- */

#define SHIFT_STAT(found)             \
    do {                              \
        (found)->st_atim.tv_sec += SHIFT; \
        (found)->st_mtim.tv_sec += SHIFT; \
        (found)->st_ctim.tv_sec += SHIFT; \
    } while (0)

/* Python's sources keep their times: bytecode carries the time of its source, and would look out of date under every
 * clock, be compiled again by every process, and be written back with a time that is wrong under every other one. */
static int shifted(const char *path)
{
    size_t length = path ? strlen(path) : 0;
    return length < 3 || memcmp(path + length - 3, ".py", 3) != 0;
}

/* What `name` answers, in the shape of `struct kind`; the compiler's headers may call it by another name (64). */
#define STAT(name, kind, path, parameters, arguments)                  \
    int name parameters                                                \
    {                                                                  \
        static int(*next) parameters;                                  \
        if (!next)                                                     \
            next = (int(*) parameters)dlsym(RTLD_NEXT, #name);         \
        if (!next) {                                                   \
            errno = ENOSYS;                                            \
            return -1;                                                 \
        }                                                              \
        int status = next arguments;                                   \
        if (status == 0 && shifted(path))                              \
            SHIFT_STAT((struct kind *)found);                          \
        return status;                                                 \
    }

STAT(stat, stat, path, (const char *restrict path, struct stat *restrict found), (path, found))
STAT(lstat, stat, path, (const char *restrict path, struct stat *restrict found), (path, found))
STAT(fstat, stat, NULL, (int file, struct stat *found), (file, found))
STAT(fstatat, stat, path, (int folder, const char *restrict path, struct stat *restrict found, int how), (folder, path, found, how))
STAT(stat64, stat64, path, (const char *restrict path, struct stat64 *restrict found), (path, found))
STAT(lstat64, stat64, path, (const char *restrict path, struct stat64 *restrict found), (path, found))
STAT(fstat64, stat64, NULL, (int file, struct stat64 *found), (file, found))
STAT(fstatat64, stat64, path, (int folder, const char *restrict path, struct stat64 *restrict found, int how), (folder, path, found, how))

/* Programs built before glibc 2.33 call these. */
STAT(__xstat, stat, path, (int version, const char *path, struct stat *found), (version, path, found))
STAT(__lxstat, stat, path, (int version, const char *path, struct stat *found), (version, path, found))
STAT(__fxstat, stat, NULL, (int version, int file, struct stat *found), (version, file, found))
STAT(__fxstatat, stat, path, (int version, int folder, const char *path, struct stat *found, int how), (version, folder, path, found, how))
STAT(__xstat64, stat64, path, (int version, const char *path, struct stat64 *found), (version, path, found))
STAT(__lxstat64, stat64, path, (int version, const char *path, struct stat64 *found), (version, path, found))
STAT(__fxstat64, stat64, NULL, (int version, int file, struct stat64 *found), (version, file, found))
STAT(__fxstatat64, stat64, path, (int version, int folder, const char *path, struct stat64 *found, int how), (version, folder, path, found, how))

int statx(int folder, const char *restrict path, int how, unsigned int wanted, struct statx *restrict found)
{
    int (*next)(int, const char *, int, unsigned int, struct statx *) = NEXT(statx);
    int status = next(folder, path, how, wanted, found);
    if (status == 0 && shifted(path)) {
        found->stx_atime.tv_sec += SHIFT;
        found->stx_btime.tv_sec += SHIFT;
        found->stx_ctime.tv_sec += SHIFT;
        found->stx_mtime.tv_sec += SHIFT;
    }
    return status;
}

/* --- and set: what somebody sets is a moment of the shifted clock -------------------------------------------------- */

static const struct timespec *real_times(const struct timespec *said, struct timespec *kept)
{
    if (!said)
        return NULL; /* now: the kernel's now is read back as ours */
    for (int n = 0; n < 2; n++) {
        kept[n] = said[n];
        if (said[n].tv_nsec != UTIME_NOW && said[n].tv_nsec != UTIME_OMIT)
            kept[n].tv_sec -= SHIFT;
    }
    return kept;
}

int utimensat(int folder, const char *path, const struct timespec said[2], int how)
{
    struct timespec kept[2];
    return NEXT(utimensat)(folder, path, real_times(said, kept), how);
}

int futimens(int file, const struct timespec said[2])
{
    struct timespec kept[2];
    return NEXT(futimens)(file, real_times(said, kept));
}

static int in_microseconds(int folder, const char *path, const struct timeval said[2], int how)
{
    if (!said)
        return utimensat(folder, path, NULL, how);
    struct timespec times[2] = {{said[0].tv_sec, said[0].tv_usec * 1000}, {said[1].tv_sec, said[1].tv_usec * 1000}};
    return utimensat(folder, path, times, how);
}

int utimes(const char *path, const struct timeval said[2]) { return in_microseconds(AT_FDCWD, path, said, 0); }

int lutimes(const char *path, const struct timeval said[2])
{
    return in_microseconds(AT_FDCWD, path, said, AT_SYMLINK_NOFOLLOW);
}

int futimes(int file, const struct timeval said[2]) { return in_microseconds(file, NULL, said, 0); }

int utime(const char *path, const struct utimbuf *said)
{
    if (!said)
        return utimes(path, NULL);
    struct timeval times[2] = {{said->actime, 0}, {said->modtime, 0}};
    return utimes(path, times);
}

/* --- waits until a moment of the wall clock ------------------------------------------------------------------------ */

static struct timespec real_moment(const struct timespec *until)
{
    struct timespec moment = *until;
    if (moment.tv_sec > WALL)
        moment.tv_sec -= SHIFT;
    return moment;
}

#define WAIT(name, parameters, ...)             \
    int name parameters                         \
    {                                           \
        struct timespec moment = real_moment(until); \
        return NEXT(name)(__VA_ARGS__, &moment); \
    }

WAIT(sem_timedwait, (sem_t *restrict wanted, const struct timespec *restrict until), wanted)
WAIT(sem_clockwait, (sem_t *restrict wanted, clockid_t clock, const struct timespec *restrict until), wanted, clock)
WAIT(pthread_mutex_timedlock, (pthread_mutex_t *restrict wanted, const struct timespec *restrict until), wanted)
WAIT(pthread_cond_timedwait,
     (pthread_cond_t *restrict wanted, pthread_mutex_t *restrict held, const struct timespec *restrict until), wanted, held)
WAIT(pthread_cond_clockwait,
     (pthread_cond_t *restrict wanted, pthread_mutex_t *restrict held, clockid_t clock, const struct timespec *restrict until),
     wanted, held, clock)

int clock_nanosleep(clockid_t clock, int how, const struct timespec *until, struct timespec *left)
{
    int (*next)(clockid_t, int, const struct timespec *, struct timespec *) = NEXT(clock_nanosleep);
    if (!(how & TIMER_ABSTIME))
        return next(clock, how, until, left);
    struct timespec moment = real_moment(until);
    return next(clock, how, &moment, left);
}
