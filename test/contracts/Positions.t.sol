// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IERC165, IERC6909, IERC6909Metadata } from "@openzeppelin/contracts/interfaces/IERC6909.sol";
import { IMultiverse } from "../../contracts/interfaces/IMultiverse.sol";
import { PositionId } from "../../contracts/types/PositionId.sol";
import { QuestionId } from "../../contracts/types/QuestionId.sol";
import { Answer, ROOT, VerseId } from "../../contracts/types/VerseId.sol";
import { Base } from "./utils/Base.sol";

/// @notice ERC-6909, ids and views.
contract PositionsTest is Base {
    QuestionId private question;
    uint256 private id;

    function setUp() public override {
        super.setUp();
        question = _ask(3);
        id = _rawId(_path(question, 1));
        _pushDown(alice, _path(), question, 100);
    }

    /* transfer */

    function test_transfer_movesOneSide() public {
        vm.expectEmit(address(ledger));
        emit IERC6909.Transfer(alice, alice, bob, id, 30);
        vm.prank(alice);
        vm.assertTrue(ledger.transfer(bob, id, 30), "returns true");
        vm.assertEq(ledger.balanceOf(alice, id), 70, "sender");
        vm.assertEq(ledger.balanceOf(bob, id), 30, "receiver");
        _assertBalance(alice, _path(question, 0), 100, "siblings stay");
        _assertBalance(bob, _path(question, 2), 0, "siblings stay");
    }

    function test_transfer_toOneselfChangesNothing() public {
        vm.startPrank(alice);
        ledger.transfer(alice, id, 100);
        vm.assertEq(ledger.balanceOf(alice, id), 100, "same");
        _expect(_insufficient(alice, _path(question, 1), 100, 101));
        ledger.transfer(alice, id, 101);
        vm.stopPrank();
    }

    function test_transfer_revertsForBadInput() public {
        vm.startPrank(alice);
        _expect(abi.encodeWithSelector(IMultiverse.ZeroAmount.selector));
        ledger.transfer(bob, id, 0);
        _expect(abi.encodeWithSelector(IMultiverse.AmountTooLarge.selector, MAX_AMOUNT + 1));
        ledger.transfer(bob, id, MAX_AMOUNT + 1);
        _expect(abi.encodeWithSelector(IMultiverse.ReceiverIsZero.selector));
        ledger.transfer(address(0), id, 1);
        _expect(_insufficient(alice, _path(question, 1), 100, 101));
        ledger.transfer(bob, id, 101);
        vm.stopPrank();
    }

    /* phantom and dirty ids */

    function test_phantomIds_holdNothingAndDoNotMove() public {
        // the set itself, an outcome past the last, the group's root, and an id of no group at all
        uint256[4] memory phantoms = [id | 0xff, (id & ~uint256(0xff)) | 3, id & ~uint256(0xffff), 0];
        for (uint256 i = 0; i < phantoms.length; ++i) _expectPhantom(phantoms[i]);
    }

    function test_dirtyIds_holdNothing() public {
        // Other sibling counts and other hashes name other groups, where nobody has anything.
        uint256[4] memory dirty = [id ^ (7 << 8), (id & ~uint256(0xff00)) | 0xff00, id ^ (1 << 16), id ^ (1 << 255)];
        for (uint256 i = 0; i < dirty.length; ++i) {
            vm.assertEq(ledger.balanceOf(alice, dirty[i]), 0, "balance");
            vm.prank(alice);
            _expect(
                abi.encodeWithSelector(
                    IMultiverse.InsufficientBalance.selector,
                    alice,
                    dirty[i],
                    uint256(0),
                    uint256(1)
                )
            );
            ledger.transfer(bob, dirty[i], 1);
        }
    }

    function test_fuzz_onlyRealIdsHoldBalances(uint256 noise, uint16 tail) public {
        uint256 group = id & ~uint256(0xffff);
        uint256 sameGroup = group | tail;
        bool real = tail >> 8 == 3 && (tail & 0xff) < 3;
        vm.assertEq(ledger.balanceOf(alice, sameGroup), real ? 100 : 0, "any tail");
        if ((noise & ~uint256(0xffff)) != group) vm.assertEq(ledger.balanceOf(alice, noise), 0, "any id");
        if ((tail & 0xff) >= tail >> 8) _expectPhantom(sameGroup);
    }

    /* transferFrom, approve, setOperator */

    function test_transferFrom_spendsAnAllowance() public {
        vm.expectEmit(address(ledger));
        emit IERC6909.Approval(alice, bob, id, 50);
        vm.prank(alice);
        vm.assertTrue(ledger.approve(bob, id, 50), "approve returns true");
        vm.assertEq(ledger.allowance(alice, bob, id), 50, "allowance");

        vm.expectEmit(address(ledger));
        emit IERC6909.Transfer(bob, alice, carol, id, 20);
        vm.startPrank(bob);
        vm.assertTrue(ledger.transferFrom(alice, carol, id, 20), "returns true");
        vm.assertEq(ledger.allowance(alice, bob, id), 30, "allowance left");
        vm.assertEq(ledger.balanceOf(carol, id), 20, "receiver");
        _expect(abi.encodeWithSelector(IMultiverse.InsufficientAllowance.selector, alice, bob, id, 30, 31));
        ledger.transferFrom(alice, carol, id, 31);
        _expect(abi.encodeWithSelector(IMultiverse.InsufficientAllowance.selector, alice, bob, id + 1, 0, 1));
        ledger.transferFrom(alice, carol, id + 1, 1);
        vm.stopPrank();
    }

    function test_transferFrom_keepsAnUnlimitedAllowance() public {
        vm.prank(alice);
        ledger.approve(bob, id, type(uint256).max);
        vm.prank(bob);
        ledger.transferFrom(alice, carol, id, 100);
        vm.assertEq(ledger.allowance(alice, bob, id), type(uint256).max, "unlimited");
    }

    function test_transferFrom_needsNoAllowanceByTheOwnerOrAnOperator() public {
        vm.prank(alice);
        ledger.transferFrom(alice, bob, id, 10);
        vm.expectEmit(address(ledger));
        emit IERC6909.OperatorSet(alice, carol, true);
        vm.prank(alice);
        vm.assertTrue(ledger.setOperator(carol, true), "returns true");
        vm.assertTrue(ledger.isOperator(alice, carol), "operator");
        vm.prank(alice);
        ledger.approve(carol, id, 5);
        vm.prank(carol);
        ledger.transferFrom(alice, bob, id, 10);
        vm.assertEq(ledger.balanceOf(bob, id), 20, "moved");
        vm.assertEq(ledger.allowance(alice, carol, id), 5, "an operator spends no allowance");

        vm.prank(alice);
        ledger.setOperator(carol, false);
        vm.prank(carol);
        _expect(abi.encodeWithSelector(IMultiverse.InsufficientAllowance.selector, alice, carol, id, 5, 10));
        ledger.transferFrom(alice, bob, id, 10);
    }

    function test_transferFrom_checksWhatTransferChecks() public {
        vm.startPrank(alice);
        _expect(abi.encodeWithSelector(IMultiverse.ZeroAmount.selector));
        ledger.transferFrom(alice, bob, id, 0);
        _expect(abi.encodeWithSelector(IMultiverse.ReceiverIsZero.selector));
        ledger.transferFrom(alice, address(0), id, 1);
        _expect(abi.encodeWithSelector(IMultiverse.PhantomPosition.selector, id | 0xff));
        ledger.transferFrom(alice, bob, id | 0xff, 1);
        _expect(_insufficient(alice, _path(question, 1), 100, 101));
        ledger.transferFrom(alice, bob, id, 101);
        vm.stopPrank();
    }

    function test_fuzz_transfer(uint256 amount, uint256 outcome, bool first) public {
        outcome = _bound(outcome, 0, 2);
        amount = _bound(amount, 1, 100);
        // A receiver who holds a set and one who does not.
        if (first) _pushDown(bob, _path(), question, 7);
        uint256 before = _balance(bob, _path(question, outcome));
        _transfer(alice, bob, _path(question, outcome), amount);
        for (uint256 i = 0; i < 3; ++i) {
            uint256 moved = i == outcome ? amount : 0;
            _assertBalance(alice, _path(question, i), 100 - moved, "sender");
            _assertBalance(bob, _path(question, i), before + moved, "receiver");
        }
    }

    /* views */

    function test_verseId_ofTheEmptyPathIsRoot() public view {
        vm.assertTrue(ledger.verseId(_path()) == ROOT, "root");
    }

    function test_verseId_carriesItsOutcomeAndTheirNumber() public view {
        uint256 raw = uint256(VerseId.unwrap(ledger.verseId(_path(question, 1))));
        vm.assertEq(raw & 0xffff, (3 << 8) | 1, "low 16 bits");
    }

    function test_verseId_revertsForPathsThatAreNotCanonical() public {
        (QuestionId low, QuestionId high) = _askPair(2, 2);
        Answer[] memory path = _path(high, 0, low, 0);
        _expect(abi.encodeWithSelector(IMultiverse.PathNotAscending.selector, 1));
        ledger.verseId(path);
        path = _path(low, 0, low, 0);
        _expect(abi.encodeWithSelector(IMultiverse.PathNotAscending.selector, 1));
        ledger.verseId(path);
        path = _path(low, 0, high, 2);
        _expect(abi.encodeWithSelector(IMultiverse.OutcomeOutOfRange.selector, high, 2));
        ledger.verseId(path);
    }

    function test_multiverseMap_readsTheLedgerAndAtRootTheToken() public {
        VerseId verse = ledger.verseId(_path(question, 1));
        vm.assertEq(ledger.multiverseMap(verse, address(token), alice), 100, "verse");
        vm.assertEq(ledger.multiverseMap(ROOT, address(token), alice), FUNDS - 100, "root");
        vm.assertEq(ledger.balanceOf(alice, PositionId.unwrap(ledger.positionId(ROOT, address(token)))), 0, "no id");
        _expect(abi.encodeWithSelector(IMultiverse.InvalidToken.selector, bob));
        ledger.multiverseMap(ROOT, bob, alice);
    }

    function test_supportsInterface() public view {
        vm.assertTrue(ledger.supportsInterface(type(IERC165).interfaceId), "ERC-165");
        vm.assertTrue(ledger.supportsInterface(0x0f632fb3), "ERC-6909");
        vm.assertTrue(ledger.supportsInterface(type(IERC6909Metadata).interfaceId), "ERC-6909 metadata");
        vm.assertTrue(ledger.supportsInterface(type(IMultiverse).interfaceId), "multiverse");
        vm.assertTrue(!ledger.supportsInterface(0xffffffff), "invalid");
        vm.assertTrue(!ledger.supportsInterface(0xd9b67a26), "ERC-1155");
    }

    function _expectPhantom(uint256 phantom) private {
        vm.assertEq(ledger.balanceOf(alice, phantom), 0, "balance");
        vm.prank(alice);
        _expect(abi.encodeWithSelector(IMultiverse.PhantomPosition.selector, phantom));
        ledger.transfer(bob, phantom, 1);
    }
}
