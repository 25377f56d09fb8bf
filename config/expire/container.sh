# A container that was cut off. The note goes on as the action that makes it says.

undo_container() {
    return 1
}

