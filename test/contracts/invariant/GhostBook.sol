// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { Verses } from "./Verses.sol";

/// @notice What the ledger should hold, kept by definition and without the ledger's arithmetic.
/// @dev Two books are kept of each owner and token: how much he has of each verse, and his *claim*, which is what all his
/// verses together are worth in each world. A push-down or pull-up of one's own moves amounts between verses and leaves
/// every claim as it was: only deposits, withdrawals and transfers change one.
abstract contract GhostBook is Verses {
    uint256 public constant OWNERS = 3;
    uint256 public constant TOKENS = 2;
    uint256 internal constant FUNDS = 1e30;

    address[] public owners;
    address[] public tokens;
    uint256[TOKENS] public deposited;
    uint256[TOKENS] public withdrawn;
    uint256[TOKENS] public donated;
    uint256[OWNERS][TOKENS] public wallets;

    mapping(uint256 round => mapping(uint256 token => mapping(uint256 owner => mapping(uint256 code => uint256))))
        private _books;
    mapping(uint256 round => mapping(uint256 token => mapping(uint256 owner => mapping(uint256 world => uint256))))
        private _claims;

    /// @notice What an owner has of each verse, by code.
    function books(uint256 t, uint256 o) external view returns (uint256[] memory held) {
        held = new uint256[](verseCount());
        for (uint256 code = 0; code < held.length; ++code) held[code] = _book(t, o, code);
    }

    function claim(uint256 t, uint256 o, uint256 world) public view returns (uint256) {
        return _claims[round][t][o][world];
    }

    function _book(uint256 t, uint256 o, uint256 code) internal view returns (uint256) {
        return _books[round][t][o][code];
    }

    /// @dev The least that the owner has in any live child.
    function _mostPullable(uint256 t, uint256 o, uint256 parent, uint256 q) internal view returns (uint256 most) {
        most = type(uint256).max;
        uint256 mask = liveOf(q);
        for (uint256 outcome = 0; mask >> outcome != 0; ++outcome) {
            if ((mask >> outcome) & 1 == 0) continue;
            uint256 balance = _book(t, o, _child(parent, q, outcome));
            if (balance < most) most = balance;
        }
    }

    /* WHAT HAPPENS */

    function _notePushed(uint256 t, uint256 o, uint256 to, uint256 parent, uint256 q, uint256 amount) internal {
        if (parent == 0) {
            deposited[t] += amount;
            wallets[t][o] -= amount;
        } else {
            _books[round][t][o][parent] -= amount;
            _lower(t, o, parent, amount);
        }
        _raise(t, to, parent, amount);
        uint256 mask = liveOf(q);
        for (uint256 outcome = 0; mask >> outcome != 0; ++outcome) {
            if ((mask >> outcome) & 1 == 1) _books[round][t][to][_child(parent, q, outcome)] += amount;
        }
    }

    function _notePulled(uint256 t, uint256 o, uint256 to, uint256 parent, uint256 q, uint256 amount) internal {
        uint256 mask = liveOf(q);
        for (uint256 outcome = 0; mask >> outcome != 0; ++outcome) {
            if ((mask >> outcome) & 1 == 1) _books[round][t][o][_child(parent, q, outcome)] -= amount;
        }
        _lower(t, o, parent, amount);
        if (parent == 0) {
            withdrawn[t] += amount;
            wallets[t][to] += amount;
        } else {
            _books[round][t][to][parent] += amount;
            _raise(t, to, parent, amount);
        }
    }

    function _noteMoved(uint256 t, uint256 o, uint256 to, uint256 code, uint256 amount) internal {
        _books[round][t][o][code] -= amount;
        _books[round][t][to][code] += amount;
        _lower(t, o, code, amount);
        _raise(t, to, code, amount);
    }

    /// @dev A withdrawal noted for one owner went to another.
    function _notePaid(uint256 t, uint256 o, uint256 to, uint256 amount) internal {
        wallets[t][o] -= amount;
        wallets[t][to] += amount;
    }

    function _noteDonated(uint256 t, uint256 o, uint256 amount) internal {
        wallets[t][o] -= amount;
        donated[t] += amount;
    }

    function _raise(uint256 t, uint256 o, uint256 code, uint256 amount) private {
        uint256 worlds = _event(code) & possible();
        for (uint256 w = 0; worlds >> w != 0; ++w) if ((worlds >> w) & 1 == 1) _claims[round][t][o][w] += amount;
    }

    function _lower(uint256 t, uint256 o, uint256 code, uint256 amount) private {
        uint256 worlds = _event(code) & possible();
        for (uint256 w = 0; worlds >> w != 0; ++w) if ((worlds >> w) & 1 == 1) _claims[round][t][o][w] -= amount;
    }
}
