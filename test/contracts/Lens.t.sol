// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IMultiverse } from "../../contracts/interfaces/IMultiverse.sol";
import { IMultiverseLens } from "../../contracts/interfaces/IMultiverseLens.sol";
import { TestToken } from "../../contracts/mocks/TestToken.sol";
import { QuestionId } from "../../contracts/types/QuestionId.sol";
import { Answer, ROOT } from "../../contracts/types/VerseId.sol";
import { Base } from "./utils/Base.sol";

contract LensTest is Base {
    IMultiverseLens private lens;
    QuestionId private low;
    QuestionId private high;

    function setUp() public override {
        super.setUp();
        lens = IMultiverseLens(_deploy("contracts/MultiverseLens.sol:MultiverseLens", abi.encode(ledger)));
        (low, high) = _askPair(2, 3);
    }

    function test_multiverse_isTheLedger() public view {
        vm.assertEq(address(lens.multiverse()), address(ledger), "ledger");
    }

    /* verses */

    function test_verses_nameTheirParents() public view {
        IMultiverseLens.VerseView[] memory views = lens.verses(_paths(_path(), _path(low, 1), _path(low, 1, high, 2)));
        vm.assertTrue(views[0].verse == ROOT && views[0].parents.length == 0, "root");
        vm.assertTrue(views[0].isAlive && views[0].isCertain, "root is certain");
        vm.assertTrue(views[1].verse == _verse(_path(low, 1)), "id");
        vm.assertTrue(views[1].parents.length == 1 && views[1].parents[0] == ROOT, "parent");
        vm.assertTrue(views[2].verse == _verse(_path(low, 1, high, 2)), "id");
        vm.assertTrue(views[2].parents[0] == _verse(_path(high, 2)), "without the first answer");
        vm.assertTrue(views[2].parents[1] == _verse(_path(low, 1)), "without the second");
        vm.assertTrue(views[2].isAlive && !views[2].isCertain, "possible");
    }

    function test_verses_followTheAnswers() public {
        Answer[][] memory paths = _paths(_path(low, 0), _path(low, 1, high, 2), _path(low, 1, high, 0));
        _narrow(high, 6);
        _assertFates(paths, [true, true, false], [false, false, false]);
        _narrow(low, 2);
        _assertFates(paths, [false, true, false], [false, false, false]);
        vm.warp(DEADLINE);
        _assertFates(paths, [false, true, false], [false, true, false]);
    }

    /* balances */

    function test_balances_areOfEveryPathAndToken() public {
        _pushDown(alice, _path(), low, 100);
        _transfer(alice, bob, _path(low, 1), 30);
        address[] memory tokens = new address[](2);
        (tokens[0], tokens[1]) = (address(token), address(lens));
        // A token is not looked at outside ROOT: only its id counts.
        uint256[][] memory amounts = lens.balances(alice, _paths(_path(low, 0), _path(low, 1), _path(high, 0)), tokens);
        vm.assertEq(amounts.length, 3, "paths");
        vm.assertEq(amounts[0][0], 100, "kept");
        vm.assertEq(amounts[1][0], 70, "sold some");
        vm.assertEq(amounts[2][0], 0, "never had");
        vm.assertEq(amounts[0][1] + amounts[1][1] + amounts[2][1], 0, "another token");

        Answer[][] memory root = new Answer[][](1);
        vm.assertEq(lens.balances(alice, root, _tokens())[0][0], FUNDS - 100, "at root the ERC-20's");
        _expect(abi.encodeWithSelector(IMultiverse.InvalidToken.selector, address(lens)));
        lens.balances(alice, root, tokens);
    }

    /* pullUps */

    function test_pullUps_nameCompleteSetsOnce() public {
        _pushDown(alice, _path(), high, 100);
        _transfer(alice, bob, _path(high, 1), 40);
        Answer[][] memory paths = _paths(_path(high, 0), _path(high, 1), _path(high, 2));
        IMultiverseLens.PullUp[] memory found = lens.pullUps(alice, paths, _tokens());
        vm.assertEq(found.length, 1, "one partition, named once");
        vm.assertEq(found[0].token, address(token), "token");
        vm.assertTrue(found[0].parent == ROOT && found[0].path.length == 0, "to root");
        vm.assertTrue(found[0].question == high, "question");
        vm.assertEq(found[0].survivors, 7, "all");
        vm.assertEq(found[0].amount, 60, "the least of the three");
        vm.assertEq(lens.pullUps(bob, paths, _tokens()).length, 0, "bob has no set");
    }

    function test_pullUps_nameEveryWayUp() public {
        // {low=1, high=2}, both answered: either answer can be taken off.
        _pushDown(alice, _path(), low, 100);
        _pushDown(alice, _path(low, 1), high, 90);
        _narrow(low, 2);
        _narrow(high, 4);
        Answer[][] memory paths = new Answer[][](1);
        paths[0] = _path(low, 1, high, 2);
        IMultiverseLens.PullUp[] memory found = lens.pullUps(alice, paths, _tokens());
        vm.assertEq(found.length, 2, "two ways");
        vm.assertTrue(found[0].parent == _verse(_path(high, 2)) && found[0].question == low, "without the first");
        vm.assertTrue(found[1].parent == _verse(_path(low, 1)) && found[1].question == high, "without the second");
        vm.assertEq(found[0].survivors, 2, "the winner");
        vm.assertEq(found[1].survivors, 4, "the winner");
        vm.assertEq(found[0].amount, 90, "all of it");

        // Each is what the ledger takes.
        vm.prank(alice);
        ledger.pullUp(found[0].path, found[0].question, found[0].token, found[0].amount, alice);
        _assertBalance(alice, _path(high, 2), 90, "up");
        vm.assertEq(lens.pullUps(alice, paths, _tokens()).length, 0, "nothing left there");
    }

    function test_pullUps_leaveDeadSiblingsOut() public {
        _pushDown(alice, _path(), high, 100);
        _narrow(high, 1);
        // The path of a sibling that lost still stands for its partition.
        Answer[][] memory paths = new Answer[][](1);
        paths[0] = _path(high, 2);
        IMultiverseLens.PullUp[] memory found = lens.pullUps(alice, paths, _tokens());
        vm.assertEq(found.length, 1, "the winner's");
        vm.assertEq(found[0].survivors, 1, "survivor");
        vm.assertEq(found[0].amount, 100, "amount");
    }

    function test_pullUps_keepPartitionsApart() public {
        // The same parent by another question, the same question under another parent, another token.
        _pushDown(alice, _path(), low, 100);
        _pushDown(alice, _path(), high, 50);
        _pushDown(alice, _path(low, 1), high, 25);
        address[] memory tokens = new address[](2);
        (tokens[0], tokens[1]) = (address(token), address(token));
        Answer[][] memory paths = _paths(_path(low, 0), _path(high, 0), _path(low, 1, high, 0));
        IMultiverseLens.PullUp[] memory found = lens.pullUps(alice, paths, tokens);
        vm.assertEq(found.length, 3, "three partitions, a token given twice counts once");
        vm.assertEq(found[0].amount, 75, "low: one side was split further");
        vm.assertEq(found[1].amount, 50, "high");
        vm.assertEq(found[2].amount, 25, "high under low=1");
        vm.assertTrue(found[2].parent == _verse(_path(low, 1)), "where it leads");
    }

    function test_pullUps_keepTokensApart() public {
        TestToken second = new TestToken("Second", "SEC", 18);
        second.mint(alice, 100);
        vm.startPrank(alice);
        second.approve(address(ledger), 100);
        ledger.pushDown(_path(), low, address(second), 40, alice);
        vm.stopPrank();
        _pushDown(alice, _path(), low, 100);

        address[] memory tokens = new address[](2);
        (tokens[0], tokens[1]) = (address(token), address(second));
        Answer[][] memory paths = new Answer[][](1);
        paths[0] = _path(low, 0);
        IMultiverseLens.PullUp[] memory found = lens.pullUps(alice, paths, tokens);
        vm.assertEq(found.length, 2, "one for each");
        vm.assertTrue(found[0].token == address(token) && found[0].amount == 100, "first");
        vm.assertTrue(found[1].token == address(second) && found[1].amount == 40, "second");
    }

    /* bad input */

    function test_lens_revertsAsTheLedgerDoes() public {
        Answer[][] memory paths = new Answer[][](1);
        paths[0] = _path(high, 0, low, 0);
        bytes memory disorder = abi.encodeWithSelector(IMultiverse.PathNotAscending.selector, 1);
        _expect(disorder);
        lens.verses(paths);
        _expect(disorder);
        lens.balances(alice, paths, _tokens());
        _expect(disorder);
        lens.pullUps(alice, paths, _tokens());
        QuestionId unknown = QuestionId.wrap(bytes32(uint256(2)));
        paths[0] = _path(unknown, 0);
        bytes memory unasked = abi.encodeWithSelector(IMultiverse.UnknownQuestion.selector, unknown);
        _expect(unasked);
        lens.verses(paths);
        _expect(unasked);
        lens.pullUps(alice, paths, _tokens());
    }

    function test_fuzz_pullUps_areExactlyTheMost(uint256 seed) public {
        // What the lens says can be pulled up can, and one more cannot.
        _pushDown(alice, _path(), low, 100);
        _pushDown(alice, _path(low, seed % 2), high, 1 + (seed % 100));
        _transfer(alice, bob, _path(low, seed % 2, high, seed % 3), 1 + (seed % (1 + (seed % 100))));
        if (seed % 5 == 0) _narrow(high, 6);
        if (seed % 7 == 0) _narrow(low, 1 << (seed % 2));
        Answer[][] memory paths = _paths(
            _path(low, seed % 2, high, 2),
            _path(low, 1 - (seed % 2)),
            _path(low, 1 - (seed % 2), high, 2)
        );
        address[2] memory owners = [alice, bob];
        for (uint256 o = 0; o < 2; ++o) {
            IMultiverseLens.PullUp[] memory found = lens.pullUps(owners[o], paths, _tokens());
            for (uint256 i = 0; i < found.length; ++i) {
                bytes memory more = abi.encodeCall(
                    ledger.pullUp,
                    (found[i].path, found[i].question, found[i].token, found[i].amount + 1, owners[o])
                );
                vm.prank(owners[o]);
                (bool ok, ) = address(ledger).call(more);
                vm.assertTrue(!ok, "not one more");
            }
            if (found.length == 0) continue;
            uint256 any = seed % found.length;
            vm.prank(owners[o]);
            ledger.pullUp(found[any].path, found[any].question, found[any].token, found[any].amount, owners[o]);
        }
    }

    function _assertFates(Answer[][] memory paths, bool[3] memory alive, bool[3] memory certain) private view {
        IMultiverseLens.VerseView[] memory views = lens.verses(paths);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertTrue(views[i].isAlive == alive[i], "alive");
            vm.assertTrue(views[i].isCertain == certain[i], "certain");
        }
    }

    function _paths(
        Answer[] memory a,
        Answer[] memory b,
        Answer[] memory c
    ) private pure returns (Answer[][] memory paths) {
        paths = new Answer[][](3);
        (paths[0], paths[1], paths[2]) = (a, b, c);
    }

    function _tokens() private view returns (address[] memory tokens) {
        tokens = new address[](1);
        tokens[0] = address(token);
    }
}
