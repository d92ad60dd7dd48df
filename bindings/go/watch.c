/* What Go needs to see without a call whether its copy of a token is current. */
#include "bridge.h"

uint64_t tutoken_go_watch(const tu_client *client, const char *scope, tutoken_go_watched *seen) {
  seen->at.struct_size = sizeof seen->at;
  if (!tu_token_watch(client, scope, &seen->at)) return 0;
  seen->version = __atomic_load_n(seen->at.version, __ATOMIC_ACQUIRE);
  seen->forks = __atomic_load_n(seen->at.forks, __ATOMIC_ACQUIRE);
  uint64_t serial = tu_token_at_hand(client, scope);
  bool same = __atomic_load_n(seen->at.version, __ATOMIC_ACQUIRE) == seen->version;
  return same ? serial : 0;
}

#if defined __linux__ && defined __x86_64__

#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>

typedef int clock_function(clockid_t, struct timespec *);

/* The parts of the kernel's shared object. */
typedef struct vdso {
  const char *base; /* what its addresses are relative to */
  const ElfW(Sym) *symbols;
  const char *names;
  size_t count;
} vdso;

static size_t count_by_gnu_hash(const uint32_t *table) {
  uint32_t buckets = table[0], first = table[1], last = 0;
  const uint32_t *bucket = table + 4 + table[2] * (sizeof(ElfW(Addr)) / sizeof *table);
  const uint32_t *chain = bucket + buckets;
  for (uint32_t at = 0; at < buckets; at++) {
    if (bucket[at] > last) last = bucket[at];
  }
  if (last < first) return first;
  while (!(chain[last - first] & 1)) last++;
  return last + 1;
}

static void read_dynamic(vdso *object, const ElfW(Dyn) *entry) {
  for (; entry->d_tag != DT_NULL; entry++) {
    const char *place = object->base + entry->d_un.d_ptr;
    if (entry->d_tag == DT_SYMTAB) object->symbols = (const ElfW(Sym) *)place;
    if (entry->d_tag == DT_STRTAB) object->names = place;
    if (entry->d_tag == DT_HASH) object->count = ((const uint32_t *)place)[1];
    if (entry->d_tag == DT_GNU_HASH && !object->count) {
      object->count = count_by_gnu_hash((const uint32_t *)place);
    }
  }
}

static bool find_vdso(vdso *object) {
  const char *start = (const char *)getauxval(AT_SYSINFO_EHDR);
  if (!start) return false;
  const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)start;
  const ElfW(Phdr) *segment = (const ElfW(Phdr) *)(start + header->e_phoff);
  const ElfW(Phdr) *dynamic = NULL;
  for (int at = 0; at < header->e_phnum; at++) {
    if (segment[at].p_type == PT_LOAD && !object->base) {
      object->base = start + segment[at].p_offset - segment[at].p_vaddr;
    }
    if (segment[at].p_type == PT_DYNAMIC) dynamic = &segment[at];
  }
  if (!object->base || !dynamic) return false;
  read_dynamic(object, (const ElfW(Dyn) *)(object->base + dynamic->p_vaddr));
  return object->symbols && object->names;
}

static uintptr_t find_function(const char *name) {
  vdso object = {0};
  if (!find_vdso(&object)) return 0;
  for (size_t at = 0; at < object.count; at++) {
    const ElfW(Sym) *symbol = &object.symbols[at];
    if (symbol->st_shndx == SHN_UNDEF || strcmp(object.names + symbol->st_name, name) != 0) continue;
    return (uintptr_t)(object.base + symbol->st_value);
  }
  return 0;
}

static int64_t boot_nanos(clock_function *clock) {
  struct timespec time;
  return clock(CLOCK_BOOTTIME, &time) ? -1 : time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* Not where something replaces the clock that the library reads, as libfaketime does. */
uintptr_t tutoken_go_boot_clock(void) {
  uintptr_t found = find_function("__vdso_clock_gettime");
  if (!found) return 0;
  int64_t before = boot_nanos(clock_gettime), seen = boot_nanos((clock_function *)found);
  return before <= seen && seen <= boot_nanos(clock_gettime) ? found : 0;
}

#else

uintptr_t tutoken_go_boot_clock(void) {
  return 0;
}

#endif
