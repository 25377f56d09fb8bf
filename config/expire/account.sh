# A disabled account. The note goes on as the action that makes it says.

undo_account() {
    return 1
}

