/*
 * Records every write, truncation, removal and sync of the database files below one folder, in one order.
 *
 * Loaded with LD_PRELOAD. RECORD_DIR names the folder, RECORD_TRACE the file that takes the records;
 * RECORD_SYNC_MS makes each sync of a write-ahead log take that much longer, as on a slow disk; RECORD_KILL_AT
 * ends the process with SIGKILL at that write of `log.db-wal`.
 *
 * A record: op (1 byte), file (4, hash of its name), offset (8), length (8), in the machine's byte order, then
 * `length` bytes: the written bytes, or the name. A sync is two records with the same offset (its number),
 * since what is written while it runs is not promised: only what was written before it began.
 * The lock is held over a write and its record, so their order in the trace is the order on the disk.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FDS 4096
enum { OPEN = 1, WRITE, TRUNCATE, UNLINK, SYNC_BEGIN, SYNC_END };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t files[FDS]; /* the file of each descriptor; 0: not ours */
static char folder[4096];
static size_t folder_length;
static int trace = -1;
static uint64_t syncs;
static long sync_ms, kill_at;
static uint32_t log_wal;

static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_unlink)(const char *);
static int (*real_rename)(const char *, const char *);
static int (*real_close)(int);

static uint32_t hash(const char *name)
{
	uint32_t h = 2166136261u;
	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h ? h : 1;
}

__attribute__((constructor)) static void start(void)
{
	real_open = dlsym(RTLD_NEXT, "open64");
	real_openat = dlsym(RTLD_NEXT, "openat64");
	real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
	real_write = dlsym(RTLD_NEXT, "write");
	real_writev = dlsym(RTLD_NEXT, "writev");
	real_pwritev = dlsym(RTLD_NEXT, "pwritev64");
	real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
	real_fsync = dlsym(RTLD_NEXT, "fsync");
	real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
	real_unlink = dlsym(RTLD_NEXT, "unlink");
	real_rename = dlsym(RTLD_NEXT, "rename");
	real_close = dlsym(RTLD_NEXT, "close");
	log_wal = hash("log.db-wal");
	const char *dir = getenv("RECORD_DIR"), *file = getenv("RECORD_TRACE");
	const char *ms = getenv("RECORD_SYNC_MS"), *at = getenv("RECORD_KILL_AT");
	if (!dir || !file || strlen(dir) >= sizeof folder)
		return;
	strcpy(folder, dir);
	folder_length = strlen(folder);
	sync_ms = ms ? atol(ms) : 0;
	kill_at = at ? atol(at) : 0;
	trace = real_open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (trace < 0)
		abort();
}

/* With the lock held. A trace with a hole would be worth nothing, so what cannot be recorded ends the process. */
static void record(unsigned char op, uint32_t file, uint64_t offset, const void *bytes, uint64_t length)
{
	unsigned char head[21];
	head[0] = op;
	memcpy(head + 1, &file, 4);
	memcpy(head + 5, &offset, 8);
	memcpy(head + 13, &length, 8);
	struct iovec parts[2] = { { head, sizeof head }, { (void *)bytes, length } };
	if (real_writev(trace, parts, length ? 2 : 1) != (ssize_t)(sizeof head + length))
		abort();
}

static int ends(const char *name, const char *with)
{
	size_t n = strlen(name), w = strlen(with);
	return n >= w && !strcmp(name + n - w, with);
}

/* The name below the folder of a database file; "." for the folder itself; NULL for anything else. */
static const char *ours(const char *path)
{
	if (trace < 0 || !path || strncmp(path, folder, folder_length))
		return NULL;
	const char *name = path + folder_length;
	if (!*name)
		return ".";
	if (*name != '/')
		return NULL;
	name++;
	return ends(name, ".db") || ends(name, "-wal") || ends(name, "-journal") ? name : NULL;
}

static uint32_t file_of(int fd)
{
	return trace >= 0 && fd >= 0 && fd < FDS ? __atomic_load_n(&files[fd], __ATOMIC_ACQUIRE) : 0;
}

static int opened(int fd, const char *path, int flags)
{
	const char *name = fd >= 0 && fd < FDS ? ours(path) : NULL;
	if (!name)
		return fd;
	pthread_mutex_lock(&lock);
	record(OPEN, hash(name), 0, name, strlen(name));
	if (flags & O_TRUNC)
		record(TRUNCATE, hash(name), 0, NULL, 0);
	__atomic_store_n(&files[fd], hash(name), __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lock);
	return fd;
}

#define MODE(flags) \
	mode_t mode = 0; \
	if ((flags) & (O_CREAT | O_TMPFILE)) { \
		va_list rest; \
		va_start(rest, flags); \
		mode = va_arg(rest, mode_t); \
		va_end(rest); \
	}

int open(const char *path, int flags, ...) { MODE(flags) return opened(real_open(path, flags, mode), path, flags); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(real_open(path, flags, mode), path, flags); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return opened(real_openat(at, path, flags, mode), path, flags); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return opened(real_openat(at, path, flags, mode), path, flags); }

/* With the lock held: what was written. */
static void wrote(uint32_t file, off_t offset, const void *bytes, ssize_t length)
{
	static long log_writes;
	if (length <= 0)
		return;
	record(WRITE, file, (uint64_t)offset, bytes, (uint64_t)length);
	if (file == log_wal && kill_at && ++log_writes == kill_at)
		kill(getpid(), SIGKILL);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset)
{
	uint32_t file = file_of(fd);
	if (!file)
		return real_pwrite(fd, bytes, length, offset);
	pthread_mutex_lock(&lock);
	ssize_t done = real_pwrite(fd, bytes, length, offset);
	wrote(file, offset, bytes, done);
	pthread_mutex_unlock(&lock);
	return done;
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return pwrite64(fd, bytes, length, offset); }

ssize_t write(int fd, const void *bytes, size_t length)
{
	uint32_t file = file_of(fd);
	if (!file)
		return real_write(fd, bytes, length);
	pthread_mutex_lock(&lock);
	off_t offset = lseek(fd, 0, SEEK_CUR);
	ssize_t done = real_write(fd, bytes, length);
	wrote(file, offset, bytes, done);
	pthread_mutex_unlock(&lock);
	return done;
}

/* As so many single writes; a short one ends it, which a caller must expect anyway. */
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset)
{
	if (!file_of(fd))
		return real_pwritev(fd, parts, count, offset);
	ssize_t all = 0;
	for (int i = 0; i < count; i++) {
		ssize_t done = pwrite64(fd, parts[i].iov_base, parts[i].iov_len, offset + all);
		if (done < 0)
			return all ? all : done;
		all += done;
		if ((size_t)done < parts[i].iov_len)
			break;
	}
	return all;
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { return pwritev64(fd, parts, count, offset); }

int ftruncate64(int fd, off_t length)
{
	uint32_t file = file_of(fd);
	if (!file)
		return real_ftruncate(fd, length);
	pthread_mutex_lock(&lock);
	int failed = real_ftruncate(fd, length);
	if (!failed)
		record(TRUNCATE, file, (uint64_t)length, NULL, 0);
	pthread_mutex_unlock(&lock);
	return failed;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int sync_with(int (*real)(int), int fd)
{
	uint32_t file = file_of(fd);
	if (!file)
		return real(fd);
	pthread_mutex_lock(&lock);
	uint64_t number = ((uint64_t)getpid() << 32) | ++syncs;
	record(SYNC_BEGIN, file, number, NULL, 0);
	pthread_mutex_unlock(&lock);
	int failed = real(fd);
	if (sync_ms && file == log_wal) {
		struct timespec wait = { sync_ms / 1000, sync_ms % 1000 * 1000000 };
		nanosleep(&wait, NULL);
	}
	pthread_mutex_lock(&lock);
	if (!failed)
		record(SYNC_END, file, number, NULL, 0);
	pthread_mutex_unlock(&lock);
	return failed;
}
int fsync(int fd) { return sync_with(real_fsync, fd); }
int fdatasync(int fd) { return sync_with(real_fdatasync, fd); }

int unlink(const char *path)
{
	const char *name = ours(path);
	if (!name)
		return real_unlink(path);
	pthread_mutex_lock(&lock);
	int failed = real_unlink(path);
	if (!failed)
		record(UNLINK, hash(name), 0, NULL, 0);
	pthread_mutex_unlock(&lock);
	return failed;
}

/* Nothing renames a database; were that to change, the trace would be wrong without a word. */
int rename(const char *from, const char *to)
{
	if (ours(from) || ours(to))
		abort();
	return real_rename(from, to);
}

int close(int fd)
{
	if (file_of(fd))
		__atomic_store_n(&files[fd], 0, __ATOMIC_RELEASE);
	return real_close(fd);
}
