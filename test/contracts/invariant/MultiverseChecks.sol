// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { console } from "hardhat/console.sol";
import { IMultiverse } from "../../../contracts/interfaces/IMultiverse.sol";
import { QuestionId } from "../../../contracts/types/QuestionId.sol";
import { Base } from "../utils/Base.sol";
import { MultiverseHandler } from "./MultiverseHandler.sol";

/// @notice The numbered invariants of docs/invariants.md, read from the ledger and held against the ghost's books.
abstract contract MultiverseChecks is Base {
    uint256 private constant WORLDS_MAX = 256;

    MultiverseHandler internal handler;

    /// @notice 1: in every combination still possible the supply of all verses true in it is deposits minus withdrawals.
    /// 2: the ledger has it. 7: what an owner's verses are worth in a combination changes by deposits, withdrawals and
    /// transfers alone, so nothing dead ever reaches it. All of it from the ledger's balances.
    function checkConservation(uint256 t) public {
        vm.warp(handler.time());
        uint256 worlds = handler.possible();
        uint256[] memory supply = new uint256[](WORLDS_MAX);
        for (uint256 o = 0; o < handler.OWNERS(); ++o) {
            uint256[] memory worth = _worth(t, o, worlds);
            for (uint256 w = 0; worlds >> w != 0; ++w) {
                if ((worlds >> w) & 1 == 0) continue;
                supply[w] += worth[w];
                vm.assertEq(worth[w], handler.claim(t, o, w), "7: an owner's worth in a combination");
            }
        }
        uint256 due = handler.deposited(t) - handler.withdrawn(t);
        for (uint256 w = 0; worlds >> w != 0; ++w) {
            if ((worlds >> w) & 1 == 1) vm.assertEq(supply[w], due, "1: supply in a possible combination");
        }
        uint256 held = IERC20(handler.tokens(t)).balanceOf(address(ledger));
        vm.assertEq(held, due + handler.donated(t), "2: what the ledger has");
    }

    /// @notice 4: no balance is negative, or reading it would revert. 3, 5, 6, 9: every balance of every owner in every token
    /// is the ghost's, whoever else did whatever else, and whatever an oracle said about other questions.
    function checkBooks(uint256 t) public view {
        uint256[] memory ids = handler.ids(handler.tokens(t));
        for (uint256 o = 0; o < handler.OWNERS(); ++o) {
            address owner = handler.owners(o);
            uint256[] memory books = handler.books(t, o);
            for (uint256 code = 1; code < ids.length; ++code) {
                uint256 balance = ledger.balanceOf(owner, ids[code]);
                if (balance != books[code]) vm.assertEq(balance, books[code], "3, 4, 5, 6, 9: a balance");
            }
            uint256 wallet = IERC20(handler.tokens(t)).balanceOf(owner);
            vm.assertEq(wallet, handler.wallets(t, o), "5, 6: a wallet");
        }
    }

    /// @notice 10: ids that no path and token derive hold nothing; among them the keys of complete sets.
    function checkPhantoms(uint256 t) public view {
        uint256[] memory ids = handler.ids(handler.tokens(t));
        for (uint256 code = 1; code < ids.length; ++code) {
            address owner = handler.owners(code % handler.OWNERS());
            uint256 outcomes = (ids[code] >> 8) & 0xff;
            uint256 group = ids[code] & ~uint256(0xff);
            vm.assertEq(ledger.balanceOf(owner, group | 0xff), 0, "10: a set's own key");
            vm.assertEq(ledger.balanceOf(owner, group | outcomes), 0, "10: an outcome too many");
            vm.assertEq(ledger.balanceOf(owner, ids[code] + 0x100), 0, "10: another number of outcomes");
        }
    }

    /// @notice 11: live is the ghost's, which only ever shrinks (the handler checks this after each action), and the
    /// recorded winner is the one that lives.
    function checkQuestions() public {
        vm.warp(handler.time());
        for (uint256 q = 0; q < handler.questionCount(); ++q) {
            QuestionId question = handler.questions(q);
            uint256 live = ledger.live(question);
            vm.assertEq(live, handler.liveOf(q), "11: live");
            IMultiverse.Question memory entry = ledger.questions(question);
            if (entry.status == 3) vm.assertEq(live, 1 << entry.winner, "11: the winner");
        }
    }

    function checkAll() public {
        for (uint256 t = 0; t < handler.TOKENS(); ++t) {
            checkConservation(t);
            checkBooks(t);
            checkPhantoms(t);
        }
        checkQuestions();
    }

    /// @notice 8: at the end of time everybody leaves with exactly what the winning verses hold, and nothing is left.
    function checkEnd() external {
        checkAll();
        handler.end();
        checkAll();
    }

    /// @dev Calls one of the checks above; when it fails, prints every call since setUp as Solidity that can be run.
    function _check(bytes memory check) internal {
        _playable(address(this), check, "");
    }

    /// @dev Makes a call; when it fails, prints what led to it and fails for the same reason.
    function _playable(address target, bytes memory data, string memory played) internal {
        (bool ok, bytes memory reason) = target.call(data);
        if (ok) return;
        for (uint256 i = 0; i < handler.callCount(); ++i) {
            (string memory name, uint256 seed) = handler.calls(i);
            console.log("handler.%s(%d);", name, seed);
        }
        if (bytes(played).length != 0) console.log("%s // fails", played);
        assembly ("memory-safe") {
            revert(add(reason, 32), mload(reason))
        }
    }

    /// @dev What all verses of an owner are worth in each world, from the ledger's balances.
    function _worth(uint256 t, uint256 o, uint256 worlds) private view returns (uint256[] memory worth) {
        worth = new uint256[](WORLDS_MAX);
        address owner = handler.owners(o);
        uint256[] memory ids = handler.ids(handler.tokens(t));
        uint256[] memory events = handler.events();
        for (uint256 code = 1; code < ids.length; ++code) {
            uint256 places = events[code] & worlds;
            if (places == 0) continue;
            uint256 balance = ledger.balanceOf(owner, ids[code]);
            if (balance == 0) continue;
            for (uint256 w = 0; places >> w != 0; ++w) if ((places >> w) & 1 == 1) worth[w] += balance;
        }
    }
}
