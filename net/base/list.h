/* Intrusive doubly linked ring. A head is a struct list too. Zeroed is not valid: list_init()
 * first. */
#ifndef NET_BASE_LIST_H
#define NET_BASE_LIST_H

#include "net/base/alloc.h"

#include <stdbool.h>

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *node)
{
	node->next = node->prev = node;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

static inline void list_add_tail(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_add_head(struct list *head, struct list *node)
{
	list_add_tail(head->next, node);
}

/* Out of its ring; the node is a ring of its own again, so a second removal is harmless. */
static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* All nodes of from go to the end of to, in their order. */
static inline void list_move_all(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_first(head, type, member) container_of((head)->next, type, member)
#define list_for_each(pos, head, type, member)                                                     \
	for (type *pos = container_of((head)->next, type, member); &pos->member != (head);         \
	     pos = container_of(pos->member.next, type, member))
/* As list_for_each, and the body may remove (and free) pos. */
#define list_for_each_safe(pos, head, type, member)                                                \
	for (type *pos = container_of((head)->next, type, member),                                 \
		  *pos##_next = container_of(pos->member.next, type, member);                      \
	     &pos->member != (head);                                                               \
	     pos = pos##_next, pos##_next = container_of(pos->member.next, type, member))

#endif
