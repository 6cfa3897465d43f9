// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * Reaching functions that the kernel does not export.
 *
 * A kprobe registered on the name tells the address.  It is bound by a static
 * call, which makes every use a direct call: an indirect one would trap under
 * IBT or kCFI where the target has no landing pad.  The address may lie past
 * the function's endbr, which is where a direct call may well go.
 *
 * A name that is not found turns its features off and never fails the load.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/string.h>

#include "heddle.h"

static char *hide = "";
module_param(hide, charp, 0444);
MODULE_PARM_DESC(hide, "comma-separated kernel symbols to treat as missing (for tests)");

u64 hd_features = HEDDLE_FEAT_CLONE | HD_FEAT_SPAWN_ANY | HEDDLE_FEAT_STATE |
		  HEDDLE_FEAT_PAGE | HEDDLE_FEAT_EXECLOCK;

#define HD_SYMBOL(type, name, args, feat)				\
	DEFINE_STATIC_CALL_NULL(hd_##name, hd_proto_##name);
#include "symbols.h"
#undef HD_SYMBOL

struct hd_symbol {
	const char *name;
	u64 features;
	bool conflict;			/* another signature here: probe.sh */
	struct static_call_key *key;
	void *tramp;
};

/* probe.sh, like the kernel, knows what HD_SYS_CLOSE_RANGE and its like stand for. */
#define HD_CONFLICT(name)	__is_defined(HD_CONFLICT_##name)

#define HD_SYMBOL(type, fn, args, feat) {				\
	.name = __stringify(fn),					\
	.features = (feat),						\
	.conflict = HD_CONFLICT(fn),					\
	.key = &STATIC_CALL_KEY(hd_##fn),				\
	.tramp = STATIC_CALL_TRAMP_ADDR(hd_##fn),			\
},
static const struct hd_symbol hd_symbols[] = {
#include "symbols.h"
};
#undef HD_SYMBOL

static bool __init hd_hidden(const char *name)
{
	size_t len = strlen(name);
	const char *p = hide;

	while (*p) {
		size_t n = strcspn(p, ",\n");

		if (n == len && !strncmp(p, name, n))
			return true;
		p += n;
		p += strspn(p, ",\n");
	}
	return false;
}

static void *__init hd_lookup(const struct hd_symbol *sym)
{
	/* Disabled: never armed, the function's text stays as it is. */
	struct kprobe kp = { .symbol_name = sym->name, .flags = KPROBE_FLAG_DISABLED };
	void *addr;

	if (sym->conflict || hd_hidden(sym->name) || register_kprobe(&kp))
		return NULL;
	addr = kp.addr;
	unregister_kprobe(&kp);
	return addr;
}

void __init hd_symbols_init(void)
{
	const struct hd_symbol *sym;

	for (sym = hd_symbols; sym < hd_symbols + ARRAY_SIZE(hd_symbols); sym++) {
		void *addr = hd_lookup(sym);

		if (!addr) {
			pr_info("%s not usable on this kernel\n", sym->name);
			hd_features &= ~sym->features;
			continue;
		}
		__static_call_update(sym->key, sym->tramp, addr);
	}
}
